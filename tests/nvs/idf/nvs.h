// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "esp_partition.h"

#define NVS_DEFAULT_PART_NAME "nvs"
inline constexpr esp_err_t ESP_ERR_NVS_NOT_FOUND = 0x1102;
inline constexpr esp_err_t ESP_ERR_NVS_NO_FREE_PAGES = 0x110D;
inline constexpr esp_err_t ESP_ERR_NVS_NEW_VERSION_FOUND = 0x1110;
using nvs_handle_t = std::uint32_t;
enum nvs_open_mode_t { NVS_READONLY, NVS_READWRITE };

esp_err_t nvs_open_from_partition(const char* partition, const char* name_space,
                                  nvs_open_mode_t mode, nvs_handle_t* handle);
void nvs_close(nvs_handle_t handle);
esp_err_t nvs_commit(nvs_handle_t handle);
esp_err_t nvs_get_u32(nvs_handle_t handle, const char* key, std::uint32_t* out);
esp_err_t nvs_set_u32(nvs_handle_t handle, const char* key, std::uint32_t value);
esp_err_t nvs_get_u64(nvs_handle_t handle, const char* key, std::uint64_t* out);
esp_err_t nvs_set_u64(nvs_handle_t handle, const char* key, std::uint64_t value);
esp_err_t nvs_get_str(nvs_handle_t handle, const char* key, char* out, std::size_t* length);
esp_err_t nvs_set_str(nvs_handle_t handle, const char* key, const char* value);
