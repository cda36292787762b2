// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nvs.h"

esp_err_t nvs_flash_init();
