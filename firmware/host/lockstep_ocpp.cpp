// SPDX-License-Identifier: Apache-2.0
#include "lockstep_ocpp.hpp"

#if defined(EVTOOL_WITH_MICROOCPP)

#include <algorithm>
#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "evidentity/identity.hpp"
#include "line_format.hpp"
#include "test_lines.hpp"

namespace evhost {
namespace {

// The library's clock has no argument. Milliseconds since boot, as on the ESP32.
evcore::Millis g_booted_at = 0;
evcore::Millis g_now = 0;

unsigned long virtual_clock() { return static_cast<unsigned long>(g_now - g_booted_at); }

uint64_t nonce_from_environment() {
  const char* text = std::getenv("EVTOOL_NONCE");
  uint64_t nonce = 0;
  return text != nullptr && parse_number(text, UINT64_MAX, nonce) ? nonce : 0;
}

// Bytes that are allocated now; "-" where the C library does not tell.
std::string heap_in_use() {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  return std::to_string(mallinfo2().uordblks);
#else
  return "-";
#endif
}

bool is_verb(std::string_view line, std::string_view verb) {
  return line.substr(0, line.find(' ')) == verb;
}

}  // namespace

LockstepOcpp::LockstepOcpp(OcppLink::SendLine say, CarryOut carry_out)
    : say_(std::move(say)), carry_out_(std::move(carry_out)), nonce_(nonce_from_environment()) {}

void LockstepOcpp::set_time(evcore::Millis now) {
  now_ = std::max(now_, now);
  g_now = now_;
}

std::optional<std::string> LockstepOcpp::take(std::string_view line, evcore::Millis now) {
  if (is_verb(line, "nvs")) {
    const std::string wrong = nvs_.add(line.size() > 4 ? line.substr(4) : std::string_view());
    has_identity_ = has_identity_ || wrong.empty();
    return wrong;
  }
  if (is_verb(line, "cut")) {
    return cut(line.size() > 4 ? line.substr(4) : std::string_view());
  }
  if (line == "heap") {
    say_("heap " + heap_in_use());
    return std::string();
  }
  const bool of_unit = is_verb(line, "ws") || is_test_line(line);
  if (of_unit && is_off_) {
    return std::string();  // nobody is there to hear it
  }
  if (is_verb(line, "ws")) {
    if (link_ == nullptr) {
      return std::string("no charge point runs");
    }
    set_time(now);
    return link_->take(line.size() > 3 ? line.substr(3) : std::string_view())
               ? std::string()
               : std::string("ws wants open, closed or recv");
  }
  if (of_unit) {
    set_time(now);
    return take_test_line(line, link_.get(), say_);
  }
  return std::nullopt;
}

std::string LockstepOcpp::cut(std::string_view count) {
  uint64_t changes = 0;
  if (!parse_number(count, UINT64_MAX, changes)) {
    return "cut wants a number of changes of files";
  }
  if (link_ != nullptr) {
    link_->cut_power(changes);
  } else {
    cut_at_boot_ = changes;
  }
  return {};
}

void LockstepOcpp::boot(evcore::Controller& controller, evcore::Millis now) {
  power_off();
  is_off_ = false;
  if (!has_identity_) {
    return;
  }
  controller_ = &controller;
  now_ = g_now = g_booted_at = now;
  const NvsNamespace factory(nvs_, evidentity::kNamespace);
  const evidentity::Loaded loaded = evidentity::load_identity(factory);
  for (const evidentity::Problem& problem : loaded.problems) {
    say_(std::string("console [event] identity field=") + problem.key + " rule=" + problem.rule);
  }
  if (!loaded.complete()) {
    return;
  }
  OcppLink::Surroundings surroundings;
  surroundings.clock = virtual_clock;
  surroundings.boot_nonce = nonce_++;
  surroundings.cut_after_changes = cut_at_boot_;
  cut_at_boot_.reset();
  link_ = OcppLink::open(
      loaded.identity, [this](const std::string& line) { say_(line); },
      [this](evcore::Report report) {
        controller_->on_report(report, now_);
        carry_out_();
        return controller_->snapshot(now_).stored_mwh;
      },
      {[] { return std::string(); }, [this](const std::string& text) { say_("console " + text); }},
      surroundings);
}

void LockstepOcpp::step(evcore::Millis now) {
  if (link_ == nullptr || !has_power()) {
    return;
  }
  set_time(now);
  evcore::OcppWord word;
  if (link_->step(controller_->snapshot(now_), now_, word)) {
    controller_->on_ocpp(word, now_);
    carry_out_();
  }
}

const char* LockstepOcpp::off() {
  if (link_ == nullptr) {
    return nullptr;
  }
  if (!has_power()) {
    return "cut";
  }
  return link_->restart_wanted() ? "restart" : nullptr;
}

void LockstepOcpp::power_off() {
  if (link_ != nullptr) {
    link_->cut_power(0);
    link_.reset();
    is_off_ = true;
  }
  controller_ = nullptr;
}

}  // namespace evhost

#endif
