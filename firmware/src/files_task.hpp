// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "evidentity/identity.hpp"
#include "evupdate/worker.hpp"
#include "tasks.hpp"

// Firmware updates and diagnostics: a task of its own, because a download takes minutes, and
// neither the WebSocket nor OCPP may wait for it. It runs also where OCPP does not, so that a new
// image that never reaches a CSMS is given up. `identity` must live for ever.
[[nodiscard]] bool start_files_task(Shared& shared, const evidentity::Identity& identity,
                                    bool with_ocpp);

// For the OCPP task; null before start_files_task().
evupdate::Worker* file_worker();
void set_charging(bool charging);
