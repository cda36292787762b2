// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>

#include "xts_aes.hpp"

#define MBEDTLS_AES_DECRYPT 0
using mbedtls_aes_xts_context = std::optional<xts::XtsAes256>;

inline void mbedtls_aes_xts_init(mbedtls_aes_xts_context* context) { context->reset(); }
inline void mbedtls_aes_xts_free(mbedtls_aes_xts_context* context) { context->reset(); }
inline int mbedtls_aes_xts_setkey_dec(mbedtls_aes_xts_context* context, const unsigned char* key,
                                      unsigned bits) {
  if (bits != 512) return -1;
  context->emplace(key);
  return 0;
}
inline int mbedtls_aes_crypt_xts(mbedtls_aes_xts_context* context, int mode, std::size_t length,
                                 const unsigned char* unit, const unsigned char* input,
                                 unsigned char* output) {
  if (mode != MBEDTLS_AES_DECRYPT || !*context || input != output) return -1;
  (*context)->decrypt(unit, output, length);
  return 0;
}
