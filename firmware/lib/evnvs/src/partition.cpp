// SPDX-License-Identifier: Apache-2.0
#include "evnvs/partition.hpp"

#include <algorithm>
#include <utility>

#include "evnvs/crc.hpp"

namespace evnvs {
namespace {

constexpr std::uint32_t kEntries = 126;
constexpr std::uint32_t kFirstEntry = 64;
constexpr std::uint32_t kBitmap = 32;
constexpr std::size_t kKey = 8;
constexpr std::size_t kKeyField = 16;
constexpr std::size_t kData = 24;  // an entry's last 8 bytes
constexpr std::uint8_t kNoChunk = 0xFF;

// A page's state: each is reached from the one before by clearing a bit.
constexpr std::uint32_t kBlankPage = 0xFFFFFFFF;
constexpr std::uint32_t kActive = 0xFFFFFFFE;
constexpr std::uint32_t kFull = 0xFFFFFFFC;
constexpr std::uint32_t kFreeing = 0xFFFFFFF8;

enum class EntryState : std::uint8_t { erased = 0, illegal = 1, written = 2, empty = 3 };

// Type codes.
constexpr std::uint8_t kU8 = 0x01;
constexpr std::uint8_t kU32 = 0x04;
constexpr std::uint8_t kU64 = 0x08;
constexpr std::uint8_t kStr = 0x21;
constexpr std::uint8_t kBlob = 0x41;  // of page version 1
constexpr std::uint8_t kBlobData = 0x42;
constexpr std::uint8_t kBlobIndex = 0x48;

template <std::size_t N>
std::uint32_t u32_at(const std::array<std::uint8_t, N>& bytes, std::size_t first) {
  return static_cast<std::uint32_t>(little_endian(bytes, first, 4));
}

bool has_data(std::uint8_t type) { return type == kStr || type == kBlob || type == kBlobData; }

std::size_t data_size(const Item& item) {
  return static_cast<std::size_t>(little_endian(item.entry, kData, 2));
}

bool entry_crc_fits(const Entry& entry) {
  return crc32(crc32(kCrcStart, entry, 0, 4), entry, 8, kEntrySize - 8) == u32_at(entry, 4);
}

bool key_is(const Entry& entry, std::string_view key) {
  if (key.size() >= kKeyField) {
    return false;
  }
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (entry[kKey + i] != static_cast<std::uint8_t>(key[i])) {
      return false;
    }
  }
  return entry[kKey + key.size()] == 0;
}

bool newer(const Item& item, const Item& than) {
  return item.sequence != than.sequence ? item.sequence > than.sequence : item.index > than.index;
}

}  // namespace

struct Partition::Page {
  std::uint32_t state = kBlankPage;
  std::uint32_t sequence = 0;
  bool live = false;  // its header is sound, and its entries count
  std::array<std::uint8_t, 32> bitmap{};

  [[nodiscard]] EntryState entry_state(std::uint32_t index) const {
    const std::uint32_t four = bitmap[index / 4];
    return static_cast<EntryState>((four >> (index % 4 * 2)) & 3U);
  }
  [[nodiscard]] bool written(std::uint32_t index, std::uint32_t count) const {
    for (std::uint32_t i = index; i < index + count; ++i) {
      if (entry_state(i) != EntryState::written) {
        return false;
      }
    }
    return true;
  }
};

struct Partition::Wanted {
  std::uint8_t name_space;
  std::uint8_t type;
  std::uint8_t chunk;
  std::string_view key;

  [[nodiscard]] bool matches(const Item& item) const {
    return item.name_space() == name_space && item.type() == type && item.chunk() == chunk &&
           key_is(item.entry, key);
  }
};

bool Partition::read_page(std::uint32_t number, Page& page) const {
  std::array<std::uint8_t, 32> header{};
  const std::uint32_t start = number * kPageSize;
  if (!flash_.read(start, header.data(), header.size()) ||
      !flash_.read(start + kBitmap, page.bitmap.data(), page.bitmap.size())) {
    return false;
  }
  page.state = u32_at(header, 0);
  page.sequence = u32_at(header, 4);
  const std::uint8_t version = header[8];
  page.live = (page.state == kActive || page.state == kFull || page.state == kFreeing) &&
              (version == 0xFF || version == 0xFE) &&
              crc32(kCrcStart, header, 4, 24) == u32_at(header, 28);
  return true;
}

bool Partition::read_entry(std::uint32_t page, std::uint32_t index, Entry& entry) const {
  const auto offset =
      static_cast<std::uint32_t>(page * kPageSize + kFirstEntry + index * kEntrySize);
  if (!flash_.read(offset, entry.data(), entry.size())) {
    return false;
  }
  if (cipher_ == nullptr) {
    return true;
  }
  // ESP-IDF's unit of encryption is the entry, and its number the entry's place in the partition.
  Tweak tweak{};
  for (std::size_t i = 0; i < 4; ++i) {
    tweak[i] = static_cast<std::uint8_t>(offset >> (8U * i));
  }
  return cipher_->decrypt(tweak, entry);
}

bool Partition::blank(std::uint32_t offset, std::size_t length) const {
  std::array<std::uint8_t, kEntrySize> bytes{};
  for (std::size_t done = 0; done < length; done += bytes.size()) {
    if (!flash_.read(static_cast<std::uint32_t>(offset + done), bytes.data(), bytes.size()) ||
        std::any_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte != 0xFF; })) {
      return false;
    }
  }
  return true;
}

// The item that begins at `index`; false where its entry or its extent is damaged.
bool Partition::read_item(std::uint32_t number, const Page& page, std::uint32_t index,
                          Item& item) const {
  item.sequence = page.sequence;
  item.page = number;
  item.index = index;
  if (!read_entry(number, index, item.entry) || !entry_crc_fits(item.entry) || item.span() == 0 ||
      item.span() > kEntries - index || !page.written(index, item.span())) {
    return false;
  }
  if (item.entry[kKey] == 0 || item.entry[kKey + kKeyField - 1] != 0) {
    return false;
  }
  const std::size_t wanted =
      has_data(item.type()) ? 1 + (data_size(item) + kEntrySize - 1) / kEntrySize : 1;
  return item.span() == wanted;
}

template <typename Visit>
void Partition::each_item(Visit visit) const {
  for (std::uint32_t number = 0; number < std::min(pages_, kMostPages); ++number) {
    Page page;
    if (!read_page(number, page) || !page.live) {
      continue;
    }
    for (std::uint32_t index = 0; index < kEntries;) {
      Item item;
      if (page.entry_state(index) != EntryState::written || !read_item(number, page, index, item)) {
        ++index;
        continue;
      }
      if (!visit(item)) {
        return;
      }
      index += item.span();
    }
  }
}

bool Partition::data(const Item& item, std::string* out) const {
  std::uint32_t crc = kCrcStart;
  std::size_t left = data_size(item);
  for (std::uint32_t i = 1; i < item.span(); ++i) {
    Entry bytes{};
    if (!read_entry(item.page, item.index + i, bytes)) {
      return false;
    }
    const std::size_t length = std::min(left, bytes.size());
    crc = crc32(crc, bytes, 0, length);
    for (std::size_t at = 0; out != nullptr && at < length; ++at) {
      out->push_back(static_cast<char>(bytes[at]));
    }
    left -= length;
  }
  return crc == u32_at(item.entry, kData + 4);
}

bool Partition::sound_entries(std::uint32_t number, const Page& page) const {
  for (std::uint32_t index = 0; index < kEntries;) {
    Item item;
    std::uint32_t step = 1;
    switch (page.entry_state(index)) {
      case EntryState::erased:
        break;
      case EntryState::empty:
        if (!blank(number * kPageSize + kFirstEntry + index * kEntrySize, kEntrySize)) {
          return false;
        }
        break;
      case EntryState::written:
        if (!read_item(number, page, index, item) ||
            (has_data(item.type()) && !data(item, nullptr))) {
          return false;
        }
        step = item.span();
        break;
      case EntryState::illegal:
        return false;
    }
    index += step;
  }
  return true;
}

bool Partition::sound_page(std::uint32_t number) const {
  Page page;
  if (!read_page(number, page)) {
    return false;
  }
  if (page.state == kBlankPage) {
    return blank(number * kPageSize, kPageSize);
  }
  return page.live && sound_entries(number, page);
}

bool Partition::namespaces_declared() const {
  std::array<bool, 256> declared{};
  declared[0] = true;
  each_item([&declared](const Item& item) {
    if (item.name_space() == 0) {
      declared[item.entry[kData]] = true;
    }
    return true;
  });
  bool all = true;
  each_item([&declared, &all](const Item& item) {
    all = all && declared[item.name_space()];
    return all;
  });
  return all;
}

bool Partition::sound() const {
  if (!whole_ || pages_ == 0 || pages_ > kMostPages) {
    return false;
  }
  for (std::uint32_t number = 0; number < pages_; ++number) {
    if (!sound_page(number)) {
      return false;
    }
  }
  return namespaces_declared();
}

bool Partition::lost_page() const {
  for (std::uint32_t number = 0; number < std::min(pages_, kMostPages); ++number) {
    Page page;
    if (!read_page(number, page)) {
      return true;
    }
    // A page whose header a power cut tore has no entry yet.
    if (!page.live && std::any_of(page.bitmap.begin(), page.bitmap.end(),
                                  [](std::uint8_t byte) { return byte != 0xFF; })) {
      return true;
    }
  }
  return false;
}

bool Partition::find(const Wanted& wanted, Item& found) const {
  bool any = false;
  each_item([&](const Item& item) {
    // A power cut may have left an older value beside the newer one.
    if (wanted.matches(item) && (!any || newer(item, found)) &&
        (!has_data(item.type()) || data(item, nullptr))) {
      found = item;
      any = true;
    }
    return true;
  });
  return any;
}

std::uint8_t Partition::find_namespace(std::string_view name) const {
  Item item;
  return find({0, kU8, kNoChunk, name}, item) ? item.entry[kData] : 0;
}

bool Partition::get_integer(const Wanted& wanted, std::size_t size, std::uint64_t& out) const {
  Item item;
  if (wanted.name_space == 0 || !find(wanted, item)) {
    return false;
  }
  out = little_endian(item.entry, kData, size);
  return true;
}

bool Partition::get_u8(std::uint8_t name_space, std::string_view key, std::uint8_t& out) const {
  std::uint64_t value = 0;
  if (!get_integer({name_space, kU8, kNoChunk, key}, 1, value)) {
    return false;
  }
  out = static_cast<std::uint8_t>(value);
  return true;
}

bool Partition::get_u32(std::uint8_t name_space, std::string_view key, std::uint32_t& out) const {
  std::uint64_t value = 0;
  if (!get_integer({name_space, kU32, kNoChunk, key}, 4, value)) {
    return false;
  }
  out = static_cast<std::uint32_t>(value);
  return true;
}

bool Partition::get_u64(std::uint8_t name_space, std::string_view key, std::uint64_t& out) const {
  return get_integer({name_space, kU64, kNoChunk, key}, 8, out);
}

bool Partition::get_str(std::uint8_t name_space, std::string_view key, std::string& out) const {
  Item item;
  std::string text;
  if (name_space == 0 || !find({name_space, kStr, kNoChunk, key}, item) || !data(item, &text)) {
    return false;
  }
  if (text.empty() || text.find('\0') != text.size() - 1) {
    return false;  // the one NUL is the last byte, and counted
  }
  text.pop_back();
  out = std::move(text);
  return true;
}

bool Partition::get_blob(std::uint8_t name_space, std::string_view key, std::string& out) const {
  Item item;
  std::string blob;
  if (name_space == 0) {
    return false;
  }
  if (!find({name_space, kBlobIndex, kNoChunk, key}, item)) {
    if (!find({name_space, kBlob, kNoChunk, key}, item) || !data(item, &blob)) {
      return false;
    }
    out = std::move(blob);
    return true;
  }
  const std::uint32_t size = u32_at(item.entry, kData);
  const unsigned count = item.entry[kData + 4];
  const unsigned first = item.entry[kData + 5];
  if (size > kLongestBlob) {
    return false;
  }
  for (unsigned chunk = first; chunk < first + count; ++chunk) {
    Item part;
    if (chunk >= kNoChunk ||
        !find({name_space, kBlobData, static_cast<std::uint8_t>(chunk), key}, part) ||
        blob.size() + data_size(part) > size || !data(part, &blob)) {
      return false;
    }
  }
  if (blob.size() != size) {
    return false;
  }
  out = std::move(blob);
  return true;
}

}  // namespace evnvs
