// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once
#include <cstdint>
int64_t esp_timer_get_time();
