// SPDX-License-Identifier: Apache-2.0
// The unit's identity from what its flash holds. Portable: the flash and the cipher come in.
#pragma once

#include "evidentity/identity.hpp"
#include "evnvs/keys.hpp"
#include "evnvs/partition.hpp"

namespace factory_identity {

struct Found {
  const evnvs::Partition* evcfg = nullptr;  // null: the table has no such partition
  evnvs::KeyState keys = evnvs::KeyState::absent;
};

// Reads and checks it. A partition that is there and cannot be read in whole is one problem, with
// the field `evcfg`, and nothing takes its place. Where nothing was ever provisioned, every field
// is missing; with EVTOOL_LAB secrets.h takes their place, if the build had one.
evidentity::Loaded load(const Found& found);

// With EVTOOL_LAB a missing certificate is forgiven: whether TLS will go unverified for that.
bool tls_unverified(const evidentity::Identity& identity);

}  // namespace factory_identity
