// SPDX-License-Identifier: Apache-2.0
// ESP-IDF's NVS, read only: for partitions that the prebuilt ESP-IDF cannot open, because it was
// built without NVS encryption, and for those that it would rather erase.
//
// Format: ESP-IDF, nvs_flash, pages of version 1 and 2. Nothing is cached and nothing written; a
// call needs less than 1 KB of stack and, for a text or a blob, its length of heap.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace evnvs {

inline constexpr std::uint32_t kPageSize = 4096;
inline constexpr std::size_t kEntrySize = 32;
inline constexpr std::uint32_t kMostPages = 1024;   // 4 MB
inline constexpr std::size_t kLongestBlob = 65536;  // more than any heap of ours gives

using Entry = std::array<std::uint8_t, kEntrySize>;
using Tweak = std::array<std::uint8_t, 16>;

// A partition's bytes as they stand in flash; offsets from its start.
class Flash {
 public:
  Flash(const Flash&) = delete;
  Flash& operator=(const Flash&) = delete;
  Flash(Flash&&) = delete;
  Flash& operator=(Flash&&) = delete;

  virtual bool read(std::uint32_t offset, std::uint8_t* out, std::size_t length) const = 0;

 protected:
  Flash() = default;
  ~Flash() = default;
};

// XTS-AES-256 with this unit's keys.
class Cipher {
 public:
  Cipher(const Cipher&) = delete;
  Cipher& operator=(const Cipher&) = delete;
  Cipher(Cipher&&) = delete;
  Cipher& operator=(Cipher&&) = delete;

  // Decrypts one entry in place.
  virtual bool decrypt(const Tweak& tweak, Entry& entry) const = 0;

 protected:
  Cipher() = default;
  ~Cipher() = default;
};

// Where an item stands, and its entry, decrypted.
struct Item {
  std::uint32_t sequence = 0;  // of its page: the higher, the newer
  std::uint32_t page = 0;
  std::uint32_t index = 0;
  Entry entry{};

  [[nodiscard]] std::uint8_t name_space() const { return entry[0]; }
  [[nodiscard]] std::uint8_t type() const { return entry[1]; }
  [[nodiscard]] std::uint8_t span() const { return entry[2]; }
  [[nodiscard]] std::uint8_t chunk() const { return entry[3]; }
};

class Partition {
 public:
  // `cipher` is null for a plain partition. Both must outlive this.
  Partition(const Flash& flash, std::uint32_t size, const Cipher* cipher = nullptr)
      : flash_(flash), pages_(size / kPageSize), whole_(size % kPageSize == 0), cipher_(cipher) {}

  // Whether every page is blank or sound, every entry that counts fits its checksums and its
  // namespace, and every entry that was never written is blank. The getters do not ask this: like
  // ESP-IDF they pass over what is damaged.
  [[nodiscard]] bool sound() const;

  // Whether a page that had entries is lost, because its header is damaged.
  [[nodiscard]] bool lost_page() const;

  // A namespace's number; 0 where it was never declared.
  [[nodiscard]] std::uint8_t find_namespace(std::string_view name) const;

  // The newest value of a key. False, and `out` untouched, where there is none.
  bool get_u8(std::uint8_t name_space, std::string_view key, std::uint8_t& out) const;
  bool get_u32(std::uint8_t name_space, std::string_view key, std::uint32_t& out) const;
  bool get_u64(std::uint8_t name_space, std::string_view key, std::uint64_t& out) const;
  bool get_str(std::uint8_t name_space, std::string_view key, std::string& out) const;
  bool get_blob(std::uint8_t name_space, std::string_view key, std::string& out) const;

 private:
  struct Page;
  struct Wanted;
  bool read_page(std::uint32_t number, Page& page) const;
  bool read_entry(std::uint32_t page, std::uint32_t index, Entry& entry) const;
  [[nodiscard]] bool blank(std::uint32_t offset, std::size_t length) const;
  [[nodiscard]] bool sound_page(std::uint32_t number) const;
  [[nodiscard]] bool sound_entries(std::uint32_t number, const Page& page) const;
  [[nodiscard]] bool namespaces_declared() const;
  bool read_item(std::uint32_t number, const Page& page, std::uint32_t index, Item& item) const;
  // Calls `visit(item)` for every item whose entry is sound, until it gives false.
  template <typename Visit>
  void each_item(Visit visit) const;
  bool find(const Wanted& wanted, Item& found) const;
  bool get_integer(const Wanted& wanted, std::size_t size, std::uint64_t& out) const;
  // Appends to `out` where that is not null; false where the data does not fit its checksum.
  bool data(const Item& item, std::string* out) const;

  const Flash& flash_;
  std::uint32_t pages_;
  bool whole_;
  const Cipher* cipher_;
};

}  // namespace evnvs
