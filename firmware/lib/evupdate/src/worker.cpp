// SPDX-License-Identifier: Apache-2.0
#include "evupdate/worker.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace evupdate {
namespace {

constexpr std::int64_t kSilenceMs = 60000;     // no byte for so long
constexpr std::int64_t kDownloadMs = 1800000;  // the whole of it
constexpr std::int64_t kPutMs = 60000;

}  // namespace

Worker::Worker(Slots& slots, Transport& transport, Rules rules)
    : slots_(slots),
      transport_(transport),
      rules_(std::move(rules)),
      outcome_(slots.outcome()),
      trial_(outcome_ == Outcome::on_trial) {
  if (outcome_ == Outcome::on_trial) {
    rules_.say("on_trial");
  } else if (outcome_ == Outcome::rolled_back) {
    rules_.say("rolled_back");
  }
}

void Worker::download(const std::string& location) {
  const std::scoped_lock guard(lock_);
  ordered_ = location;
  order_download_ = true;
  download_ = State::busy;
  install_ = State::idle;
}

void Worker::install() {
  const std::scoped_lock guard(lock_);
  order_install_ = download_ == State::done;
  install_ = order_install_ ? State::busy : State::failed;
}

void Worker::upload(const Upload& upload) {
  const std::scoped_lock guard(lock_);
  upload_order_ = upload;
  order_upload_ = true;
  upload_ = State::busy;
}

State Worker::download_state() { return get(&Worker::download_); }
State Worker::install_state() { return get(&Worker::install_); }
State Worker::upload_state() { return get(&Worker::upload_); }

void Worker::registered() {
  const std::scoped_lock guard(lock_);
  registered_ = true;
}

Outcome Worker::outcome() {
  const std::scoped_lock guard(lock_);
  return outcome_;
}

void Worker::told_outcome() {
  const std::scoped_lock guard(lock_);
  outcome_ = Outcome::none;
  order_told_ = true;
}

void Worker::set(State Worker::* state, State value) {
  const std::scoped_lock guard(lock_);
  // A newer order waits: what became of the older one is nobody's business any more.
  const bool superseded = (state == &Worker::download_ && order_download_) ||
                          (state == &Worker::upload_ && order_upload_);
  if (!superseded) {
    this->*state = value;
  }
}

State Worker::get(State Worker::* state) {
  const std::scoped_lock guard(lock_);
  return this->*state;
}

void Worker::step(std::int64_t now) {
  step_trial(now);
  take_orders(now);
  switch (job_) {
    case Job::none:
      break;
    case Job::wait:
      if (!rules_.charging()) {
        begin_download(now);
      }
      break;
    case Job::fetch:
      fetch(now);
      break;
    case Job::wait_to_put:
      if (now >= put_at_ && !begin_put(now)) {
        put_failed(now);
      }
      break;
    case Job::put:
      put(now);
      break;
  }
}

void Worker::step_trial(std::int64_t now) {
  bool registered = false;
  bool told = false;
  {
    const std::scoped_lock guard(lock_);
    registered = registered_;
    told = order_told_;
    order_told_ = false;
  }
  if (told) {
    slots_.told();
  }
  switch (trial_.step(now, registered, rules_.charging())) {
    case Trial::Action::none:
      break;
    case Trial::Action::keep:
      if (slots_.keep()) {
        trial_.done();
        rules_.say("kept");
        const std::scoped_lock guard(lock_);
        outcome_ = Outcome::installed;
      }
      break;
    case Trial::Action::give_up:
      rules_.say("given_up");
      slots_.give_up();
      break;
  }
}

// One job at a time: an upload waits for a download, and a new order ends an old one of its kind.
void Worker::take_orders(std::int64_t now) {
  std::string location;
  bool verify = false;
  bool fetch_anew = false;
  {
    const std::scoped_lock guard(lock_);
    fetch_anew = order_download_;
    order_download_ = false;
    location = ordered_;
    verify = order_install_;
    order_install_ = false;
    const bool idle = job_ == Job::none || job_ == Job::put || job_ == Job::wait_to_put;
    if (order_upload_ && idle && !fetch_anew) {
      order_upload_ = false;
      uploading_ = upload_order_;
      job_ = Job::wait_to_put;
      put_at_ = now;
      transport_.close();
    }
  }
  if (verify) {
    verify_and_activate();
  }
  if (!fetch_anew) {
    return;
  }
  if (job_ == Job::put || job_ == Job::wait_to_put) {
    set(&Worker::upload_, State::failed);
  }
  transport_.close();
  job_ = Job::none;
  const char* broken = parse_location(location, rules_.authentic, location_);
  if (broken != nullptr) {
    fail(broken);
    return;
  }
  job_ = Job::wait;
}

void Worker::begin_download(std::int64_t now) {
  if (trial_.running()) {
    fail("not_on_trial");  // the other slot holds what would be gone back to
    return;
  }
  head_ = 0;
  hash_ = Sha256();
  written_ = 0;
  begun_at_ = heard_at_ = now;
  rules_.say("downloading");
  if (!transport_.get(location_.url)) {
    fail("server_reachable");
    return;
  }
  job_ = Job::fetch;
}

void Worker::fetch(std::int64_t now) {
  // The flash stops both cores while it erases: not beside a module that is on.
  if (rules_.charging()) {
    fail("not_while_charging");
    return;
  }
  std::array<std::uint8_t, 1024> buffer{};
  std::size_t length = 0;
  switch (transport_.read(buffer.data(), buffer.size(), length)) {
    case Transport::Progress::data:
      heard_at_ = now;
      if (take_bytes(buffer.data(), length) && now - begun_at_ > kDownloadMs) {
        fail("downloaded_in_time");
      }
      break;
    case Transport::Progress::end:
      finish_download();
      break;
    case Transport::Progress::failed:
      fail("server_answers_200_with_the_whole_file");
      break;
    case Transport::Progress::pending:
      if (now - heard_at_ > kSilenceMs) {
        fail("server_answers");
      }
      break;
  }
}

// The header is looked at before the slot is touched.
bool Worker::take_bytes(const std::uint8_t* bytes, std::size_t length) {
  if (head_ == kHeaderSize) {
    return write(bytes, length);
  }
  const std::size_t more = std::min(length, kHeaderSize - head_);
  std::copy_n(bytes, more, std::next(header_.begin(), static_cast<std::ptrdiff_t>(head_)));
  head_ += more;
  if (head_ < kHeaderSize) {
    return true;
  }
  const char* broken = check_header(header_, slots_.running_project());
  if (broken != nullptr) {
    fail(broken);
    return false;
  }
  if (!slots_.begin()) {
    fail("slot_can_be_written");
    return false;
  }
  return write(header_.data(), header_.size()) &&
         write(std::next(bytes, static_cast<std::ptrdiff_t>(more)), length - more);
}

bool Worker::write(const std::uint8_t* bytes, std::size_t length) {
  if (length == 0) {
    return true;
  }
  if (written_ + length > slots_.capacity()) {
    fail("fits_the_slot");
    return false;
  }
  if (!slots_.write(bytes, length)) {
    fail("slot_can_be_written");
    return false;
  }
  hash_.update(bytes, length);
  written_ += length;
  return true;
}

void Worker::finish_download() {
  transport_.close();
  if (head_ < kHeaderSize) {
    fail("application_image");
  } else if (hash_.finish() != location_.sha256) {
    fail("has_the_sha256");
  } else if (!slots_.end()) {
    fail("valid_image");
  } else {
    job_ = Job::none;
    rules_.say("downloaded");
    set(&Worker::download_, State::done);
  }
}

// What the flash holds now, not what was received: the digest is of what will run.
void Worker::verify_and_activate() {
  Sha256 hash;
  std::array<std::uint8_t, 1024> buffer{};
  bool read = written_ > 0 && !rules_.charging();
  for (std::size_t at = 0; read && at < written_; at += buffer.size()) {
    const std::size_t length = std::min(buffer.size(), written_ - at);
    read = slots_.read(at, buffer.data(), length);
    hash.update(buffer.data(), length);
  }
  const bool active = read && hash.finish() == location_.sha256 && slots_.activate();
  rules_.say(active ? "installed" : "failed rule=installed_as_downloaded");
  set(&Worker::install_, active ? State::done : State::failed);
}

void Worker::fail(const char* rule) {
  transport_.close();
  job_ = Job::none;
  rules_.say(std::string("failed rule=") + rule);
  set(&Worker::download_, State::failed);
}

bool Worker::begin_put(std::int64_t now) {
  if (!transport_.put(uploading_.url, uploading_.body)) {
    return false;
  }
  job_ = Job::put;
  begun_at_ = now;
  return true;
}

void Worker::put(std::int64_t now) {
  switch (transport_.finish_put()) {
    case Transport::Progress::end:
      transport_.close();
      job_ = Job::none;
      set(&Worker::upload_, State::done);
      break;
    case Transport::Progress::failed:
      put_failed(now);
      break;
    case Transport::Progress::pending:
    case Transport::Progress::data:
      if (now - begun_at_ > kPutMs) {
        put_failed(now);
      }
      break;
  }
}

void Worker::put_failed(std::int64_t now) {
  transport_.close();
  uploading_.attempts -= 1;
  if (uploading_.attempts == 0) {
    job_ = Job::none;
    set(&Worker::upload_, State::failed);
    return;
  }
  job_ = Job::wait_to_put;
  put_at_ = now + uploading_.interval_ms;
}

}  // namespace evupdate
