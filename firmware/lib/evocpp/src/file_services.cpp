// SPDX-License-Identifier: Apache-2.0
#if defined(EVTOOL_WITH_MICROOCPP)

#include "evocpp/file_services.hpp"

#include <MicroOcpp.h>
#include <MicroOcpp/Core/Configuration.h>
#include <MicroOcpp/Core/Context.h>
#include <MicroOcpp/Core/Request.h>
#include <MicroOcpp/Model/ConnectorBase/Connector.h>
#include <MicroOcpp/Model/Diagnostics/DiagnosticsService.h>
#include <MicroOcpp/Model/FirmwareManagement/FirmwareService.h>
#include <MicroOcpp/Model/Model.h>
#include <MicroOcpp/Operations/FirmwareStatusNotification.h>

#include <algorithm>

namespace evocpp {
namespace {

using evupdate::State;
using Status = MicroOcpp::Ocpp16::FirmwareStatus;

// The library gives each try of an upload 60 s, and waits 10 s more before the next.
constexpr int kLibraryTrySeconds = 70;
constexpr int kWorkerTrySeconds = 60;
// Uploading is told before UploadFailed, so the library must have seen that state.
constexpr int kTurnsToTell = 3;

MicroOcpp::Model& model() { return getOcppContext()->getModel(); }

}  // namespace

void FirmwareUpdate::install() {
  auto* service = getFirmwareService();
  service->setOnDownload([this](const char* location) {
    worker_.download(location);
    started_ = true;
    download_ = State::busy;
    install_ = State::idle;
    return true;
  });
  service->setDownloadStatusInput([this] {
    switch (download_) {
      case State::done:
        return MicroOcpp::DownloadStatus::Downloaded;
      case State::failed:
        return MicroOcpp::DownloadStatus::DownloadFailed;
      case State::idle:
      case State::busy:
        break;
    }
    return MicroOcpp::DownloadStatus::NotDownloaded;
  });
  service->setOnInstall([this](const char*) {
    worker_.install();
    install_ = State::busy;
    return true;
  });
  // Installed is for after the restart: until then the old image runs.
  service->setInstallationStatusInput([this] {
    return install_ == State::failed ? MicroOcpp::InstallationStatus::InstallationFailed
                                     : MicroOcpp::InstallationStatus::NotInstalled;
  });
}

void FirmwareUpdate::before_turn() {
  if (started_) {
    download_ = worker_.download_state();
    install_ = worker_.install_state();
  }
}

void FirmwareUpdate::after_turn(bool registered) {
  // An attempt has failed, or a new order has taken its place, perhaps before it had begun.
  const bool idle = getFirmwareService()->getFirmwareStatus() == Status::Idle;
  if (idle && attempt_) {
    started_ = false;
    download_ = install_ = State::idle;
    model().getConnector(0)->setAvailabilityVolatile(true);
  }
  attempt_ = !idle;
  if (registered) {
    worker_.registered();
    tell_outcome();
  }
}

// Once for each start, until it is answered; the next start tells it again otherwise.
void FirmwareUpdate::tell_outcome() {
  const evupdate::Outcome outcome = worker_.outcome();
  const bool installed = outcome == evupdate::Outcome::installed;
  if (telling_ || (!installed && outcome != evupdate::Outcome::rolled_back)) {
    return;
  }
  telling_ = true;
  auto request = MicroOcpp::makeRequest(new MicroOcpp::Ocpp16::FirmwareStatusNotification(
      installed ? Status::Installed : Status::InstallationFailed));
  request->setOnReceiveConfListener([this](JsonObject) { worker_.told_outcome(); });
  getOcppContext()->initiateRequest(std::move(request));
}

void Diagnostics::install() {
  auto* service = getDiagnosticsService();
  service->setRefreshFilename([this] { return name_; });
  service->setOnUpload([this](const char* location, MicroOcpp::Timestamp&, MicroOcpp::Timestamp&) {
    return upload(location);
  });
  service->setOnUploadStatusInput([this] {
    switch (state_) {
      case State::done:
        return MicroOcpp::UploadStatus::Uploaded;
      case State::failed:
        return MicroOcpp::UploadStatus::UploadFailed;
      case State::idle:
      case State::busy:
        break;
    }
    return MicroOcpp::UploadStatus::NotUploaded;
  });
}

void Diagnostics::before_turn() {
  if (started_) {
    state_ = worker_.upload_state();
  } else if (refused_ && refused_turns_ < kTurnsToTell) {
    ++refused_turns_;
  } else if (refused_) {
    state_ = State::failed;
  }
}

int Diagnostics::ordered(int attempts, int interval_s) {
  attempts_ = static_cast<unsigned>(std::min(std::max(attempts, 1), 100));
  interval_s_ = std::min(std::max(interval_s, 0), 86400);
  const int seconds = static_cast<int>(attempts_) * (kWorkerTrySeconds + interval_s_);
  return seconds / kLibraryTrySeconds + 2;
}

bool Diagnostics::upload(const char* location) {
  evupdate::Upload order;
  started_ = evnet::parse_http_url(location, order.url);
  refused_ = !started_;
  refused_turns_ = 0;
  state_ = State::busy;
  if (started_) {
    order.body = text_();
    order.attempts = attempts_;
    order.interval_ms = static_cast<std::int64_t>(interval_s_) * 1000;
    worker_.upload(order);
  }
  return started_;
}

std::string configuration_text() {
  std::string text;
  for (MicroOcpp::ConfigurationContainer* container :
       MicroOcpp::getConfigurationContainersPublic()) {
    for (size_t i = 0; i < container->size(); ++i) {
      MicroOcpp::Configuration* entry = container->getConfiguration(i);
      if (entry == nullptr || entry->getKey() == nullptr) {
        continue;
      }
      text += std::string(entry->getKey()) + '=';
      switch (entry->getType()) {
        case MicroOcpp::TConfig::Int:
          text += std::to_string(entry->getInt());
          break;
        case MicroOcpp::TConfig::Bool:
          text += entry->getBool() ? "true" : "false";
          break;
        case MicroOcpp::TConfig::String:
          text += entry->getString();
          break;
      }
      text += '\n';
    }
  }
  return text;
}

}  // namespace evocpp

#endif
