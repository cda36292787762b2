// SPDX-License-Identifier: Apache-2.0
#include "evdiagnostics/report.hpp"

#include <sstream>
#include <vector>

#include "evidentity/url.hpp"

namespace evdiagnostics {
namespace {

constexpr std::size_t kShortestSecret = 4;

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c - 'A' + 'a');
    }
  }
  return text;
}

std::string hex(const std::string& bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 15U];
  }
  return out;
}

// Base64 of `bytes` wherever they stand in a longer text: the middle that does not depend on what
// comes before or after.
void add_base64(const std::string& bytes, std::vector<std::string>& forms) {
  for (std::size_t before = 0; before < 3; ++before) {
    const std::string coded = evidentity::base64(std::string(before, 'x') + bytes);
    const std::size_t begin = before == 0 ? 0 : 4;
    const std::size_t end = coded.size() - 4;
    if (end > begin + kShortestSecret) {
      forms.push_back(lower(coded.substr(begin, end - begin)));
    }
  }
}

// In lower case, because hex may be of either.
std::vector<std::string> forms_of_secrets(const evidentity::Identity& identity) {
  std::vector<std::string> forms;
  for (const std::string& secret : {identity.wifi_passphrase, identity.authorization_key,
                                    evidentity::decode_key(identity.authorization_key)}) {
    if (secret.size() >= kShortestSecret) {
      forms.push_back(lower(secret));
      forms.push_back(hex(secret));
      add_base64(secret, forms);
    }
  }
  // The private key as it is kept, line by line: nothing of ours puts it into another form.
  std::stringstream lines(identity.client_key);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() >= kShortestSecret && line.compare(0, 5, "-----") != 0) {
      forms.push_back(lower(line));
    }
  }
  return forms;
}

std::string without(const std::vector<std::string>& forms, const std::string& text) {
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.find('\n', begin);
    end = end == std::string::npos ? text.size() : end + 1;
    const std::string line = text.substr(begin, end - begin);
    bool clean = true;
    for (const std::string& form : forms) {
      clean = clean && lower(line).find(form) == std::string::npos;
    }
    kept += clean ? line : "(left out)\n";
    begin = end;
  }
  return kept;
}

}  // namespace

void RecentLines::add(std::int64_t uptime_ms, std::string_view line) {
  std::string text = std::to_string(uptime_ms / 1000);
  text += "s ";
  text += line.substr(0, kBytes / 4);
  text += '\n';
  const std::scoped_lock guard(lock_);
  size_ += text.size();
  lines_.push_back(std::move(text));
  while (size_ > kBytes) {
    size_ -= lines_.front().size();
    lines_.pop_front();
  }
}

std::string RecentLines::text() {
  const std::scoped_lock guard(lock_);
  std::string all;
  all.reserve(size_);
  for (const std::string& line : lines_) {
    all += line;
  }
  return all;
}

std::string report(const evidentity::Identity& identity, const Facts& facts,
                   const std::string& lines) {
  std::string text = "# unit\n";
  text += "charge_point=" + identity.charge_point + "\nvendor=" + identity.vendor +
          "\nmodel=" + identity.model + "\nserial=" + identity.serial +
          "\nsec_profile=" + std::to_string(identity.security_profile) +
          "\nversion=" + facts.version + "\nbuild=" + facts.build + "\nreset=" + facts.reset +
          "\nuptime_s=" + std::to_string(facts.uptime_ms / 1000) + "\n\n# health\n" + facts.health +
          "\n# console\n" + lines;
  return without(forms_of_secrets(identity), text);
}

std::string file_name(const std::string& charge_point) {
  std::string name = charge_point;
  for (char& c : name) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    c = plain ? c : '_';
  }
  return "diagnostics-" + name + ".txt";
}

}  // namespace evdiagnostics
