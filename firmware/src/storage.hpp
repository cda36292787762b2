// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <MicroOcpp/Core/FilesystemAdapter.h>

#include <memory>

#include "tasks.hpp"

// Mounts the partition `storage` for MicroOcpp. One that cannot be mounted is formatted: what the
// CSMS has not been told of yet is lost then, so the console says it and nvs_store counts it. Null
// where even that fails; OCPP then keeps everything in RAM.
std::shared_ptr<MicroOcpp::FilesystemAdapter> mount_storage(Shared& shared);
