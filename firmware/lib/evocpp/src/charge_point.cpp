// SPDX-License-Identifier: Apache-2.0
#if defined(EVTOOL_WITH_MICROOCPP)

#include "evocpp/charge_point.hpp"

#include <MicroOcpp.h>
#include <MicroOcpp/Core/Configuration.h>
#include <MicroOcpp/Core/Context.h>
#include <MicroOcpp/Model/ConnectorBase/Connector.h>
#include <MicroOcpp/Model/Metering/SampledValue.h>
#include <MicroOcpp/Model/Model.h>
#include <MicroOcpp/Model/SmartCharging/SmartChargingService.h>

#include <climits>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "evocpp/configuration_keys.hpp"
#include "evocpp/reservations.hpp"

namespace evocpp {
namespace {

constexpr unsigned kConnector = 1;
constexpr evcore::Millis kRestartDelay = 3000;
constexpr int kPingIntervalSeconds = 15;
// A BMS counts as silent after 3000 ms, so by then it is known whether there is one.
constexpr evcore::Millis kTimeToHearVehicle = 3500;
// The core believes a word for less than 5000 ms.
constexpr evcore::Millis kRepeatWordMs = 500;
constexpr evcore::Millis kAskProfilesMs = 200;

// Literals, because the library keeps the pointer until the message has gone out.
constexpr const char* kErrorCodes[] = {"HighTemperature",      "OverVoltage",
                                       "OverCurrentFailure",   "PowerSwitchFailure",
                                       "EVCommunicationError", "InternalError"};

constexpr const char* kStopReasons[] = {"EmergencyStop", "EVDisconnected", "HardReset",   "Local",
                                        "Other",         "PowerLoss",      "Reboot",      "Remote",
                                        "SoftReset",     "UnlockCommand",  "DeAuthorized"};

// A value that is not known is "not a number" in the library's floats; the wire filter takes
// the sample out of the message.
float scaled(const std::optional<std::int64_t>& value, float divisor) {
  return value ? static_cast<float>(*value) / divisor : NAN;
}

// The current on offer, at the voltage that the vehicle asks for.
float power_offered(const evcore::Snapshot& inputs) {
  return inputs.offered_ma == 0 ? 0.0F
                                : scaled(inputs.requested_mv, 1000.0F) *
                                      static_cast<float>(inputs.offered_ma) / 1000.0F;
}

bool whole_number(const char* text, long minimum) {
  if (*text == '\0' || std::strspn(text, "0123456789") != std::strlen(text) ||
      std::strlen(text) > 9) {
    return false;
  }
  return std::strtol(text, nullptr, 10) >= minimum;
}

void require_minimum(const char* key, long minimum) {
  MicroOcpp::registerConfigurationValidator(
      key, [minimum](const char* value) { return whole_number(value, minimum); });
}

std::unique_ptr<MicroOcpp::JsonDoc> status_answer(const char* status) {
  auto document = std::unique_ptr<MicroOcpp::JsonDoc>(
      new MicroOcpp::JsonDoc(MicroOcpp::initJsonDoc("evocpp", JSON_OBJECT_SIZE(1))));
  (*document)["status"] = status;
  return document;
}

// What setEnergyMeterInput() makes, but knowing what the value is for. The library asks once for
// each sample, and for meterStart and meterStop; never in between.
std::unique_ptr<MicroOcpp::SampledValueSampler> energy_sampler(
    std::function<uint64_t(evcore::Report)> durable_energy) {
  using Format = MicroOcpp::SampledValueDeSerializer<int32_t>;
  MicroOcpp::SampledValueProperties properties;
  properties.setMeasurand("Energy.Active.Import.Register");
  properties.setUnit("Wh");
  auto sample = [durable_energy](ReadingContext context) -> int32_t {
    const bool of_transaction =
        context == ReadingContext_TransactionBegin || context == ReadingContext_TransactionEnd;
    const uint64_t wh =
        durable_energy(of_transaction ? evcore::Report::transaction : evcore::Report::sample) /
        1000;
    return wh > INT32_MAX ? INT32_MAX : static_cast<int32_t>(wh);
  };
  return std::unique_ptr<MicroOcpp::SampledValueSampler>(
      new MicroOcpp::SampledValueSamplerConcrete<int32_t, Format>(properties, sample));
}

bool same(const evcore::OcppWord& a, const evcore::OcppWord& b) {
  return a.connected == b.connected && a.transaction == b.transaction &&
         a.permitted == b.permitted && a.limit_ma == b.limit_ma;
}

// While another message waits for its answer the library holds on to a transaction that was given
// up before it began. The next one gets the same number, and would be taken for it and deleted,
// told or not. Asking for the front lets go of it.
void forget_given_up() {
  auto* context = getOcppContext();
  auto* connector = context != nullptr ? context->getModel().getConnector(kConnector) : nullptr;
  if (connector != nullptr) {
    connector->getFrontRequestOpNr();
  }
}

// Whether the CSMS has told the time, since the start.
bool knows_time() { return getOcppContext()->getModel().getClock().now() >= MicroOcpp::MIN_TIME; }

// The serial number twice: the box is the charge point, and there are CSMSs that know the name
// that OCPP 1.6 wants no more.
ChargerCredentials credentials(const Station& station) {
  const char* serial = *station.serial != '\0' ? station.serial : nullptr;
  return ChargerCredentials(station.model, station.vendor, station.firmware_version, serial,
                            nullptr, nullptr, serial);
}

}  // namespace

const char* library_version() { return MO_VERSION; }

WireFilter::Policy ChargePoint::policy(const Hooks& hooks) {
  WireFilter::Policy policy;
  policy.boot_nonce = hooks.boot_nonce;
  policy.may_start = [this](const char* id_tag) {
    const bool may = may_start(id_tag);
    if (may && enabled("AuthorizeRemoteTxRequests")) {
      doubt(id_tag);
    } else if (may && doubted_tag_ == id_tag) {
      doubted_tag_.clear();  // the CSMS has decided
    }
    return may;
  };
  policy.store_key = hooks.store_key;
  policy.tell_time = hooks.tell_time;
  policy.limit = hooks.limit;
  policy.declared_key = declared_key;
  policy.known_tag = [this](const char* id_tag) -> const IdTagInfo* {
    return enabled("LocalPreAuthorize") ? accepted_tag(id_tag) : nullptr;
  };
  policy.start_unanswered = [] {
    const auto transaction = getTransaction(kConnector);
    return transaction && transaction->getStartSync().isRequested() &&
           !transaction->getStartSync().isConfirmed();
  };
  policy.in_transaction = [] { return isTransactionRunning(kConnector); };
  policy.knows_time = knows_time;
  policy.learn_tag = [this](const std::string& id_tag, const IdTagInfo& info) {
    if (id_tag == doubted_tag_) {
      doubted_tag_.clear();
    }
    cache_.learn(id_tag, info);
  };
  if (hooks.files != nullptr) {
    policy.diagnostics_ordered = [this](int attempts, int interval_s) {
      return diagnostics_->ordered(attempts, interval_s);
    };
  }
  return policy;
}

ChargePoint::ChargePoint(MicroOcpp::Connection& connection,
                         std::shared_ptr<MicroOcpp::FilesystemAdapter> files,
                         const Station& station, Hooks hooks)
    : filter_(connection, policy(hooks)), hooks_(std::move(hooks)) {
  mocpp_initialize(filter_, credentials(station), std::move(files));
  go_on_counting();
  forget_who_waited();
  install_meters();
  install_inputs();
  install_handlers();
  install_ping_interval();
  install_file_services();
}

ChargePoint::~ChargePoint() { mocpp_deinitialize(); }

void ChargePoint::install_inputs() {
  setConnectorPluggedInput([this] { return inputs_.plugged; }, kConnector);
  setEvReadyInput([this] { return inputs_.ev_ready; }, kConnector);
  // "Not offering energy to the EV, e.g. due to a smart charging restriction": SuspendedEVSE.
  setEvseReadyInput([this] { return inputs_.evse_ready && limit_ma() != 0; }, kConnector);
  // One input for each code: the library reports a change from one to another only between
  // inputs. What the vehicle or the bus causes suspends; only a fault of ours is Faulted.
  for (const char* code : kErrorCodes) {
    addErrorDataInput(
        [this, code] {
          MicroOcpp::ErrorData data(nullptr);
          if (inputs_.error == code) {
            evcore::Faults faults = inputs_.faults;
            faults.clear(evcore::Fault::bus_off);
            data.isError = true;
            data.isFaulted = faults.any();
            data.errorCode = code;
          }
          return data;
        },
        kConnector);
  }
  setStartTxReadyInput([this] { return may_begin(); }, kConnector);
  setSmartChargingCurrentOutput([this](float limit) { limit_a_ = limit; }, kConnector);
}

void ChargePoint::install_meters() {
  // Before the first meter, whose service would declare its own default. A value that the CSMS
  // has chosen is in the file already and wins.
  MicroOcpp::declareConfiguration<const char*>(
      "MeterValuesSampledData",
      "Energy.Active.Import.Register,Power.Active.Import,Voltage,Current.Import,Current.Offered,"
      "Temperature,SoC");
  addMeterValueInput(
      energy_sampler([this](evcore::Report report) { return hooks_.durable_energy(report); }),
      kConnector);
  setPowerMeterInput([this] { return scaled(inputs_.power_mw, 1000.0F); }, kConnector);
  addMeterValueInput([this] { return scaled(inputs_.measured_mv, 1000.0F); }, "Voltage", "V",
                     nullptr, nullptr, kConnector);
  addMeterValueInput([this] { return scaled(inputs_.measured_ma, 1000.0F); }, "Current.Import", "A",
                     nullptr, nullptr, kConnector);
  addMeterValueInput([this] { return static_cast<float>(inputs_.offered_ma) / 1000.0F; },
                     "Current.Offered", "A", nullptr, nullptr, kConnector);
  addMeterValueInput([this] { return power_offered(inputs_); }, "Power.Offered", "W", nullptr,
                     nullptr, kConnector);
  addMeterValueInput([this] { return scaled(inputs_.temperature_mdegc, 1000.0F); }, "Temperature",
                     "Celsius", "Body", nullptr, kConnector);
  addMeterValueInput([this] { return scaled(inputs_.soc_permille, 10.0F); }, "SoC", "Percent", "EV",
                     nullptr, kConnector);
}

void ChargePoint::install_handlers() {
  // The library's own answer deletes the stored transactions (D3), and it has no cache (D2).
  MicroOcpp::declareConfiguration<bool>("AuthorizationCacheEnabled", true);
  setRequestHandler(
      "ClearCache", [this](JsonObject) { cache_.clear(); },
      [] { return status_answer("Accepted"); });
  auto vendor = MicroOcpp::declareConfiguration<const char*>("Cst_DataTransferVendorId", "");
  setRequestHandler(
      "DataTransfer",
      [this, vendor](JsonObject payload) {
        const char* named = payload["vendorId"] | "";
        vendor_known_ = vendor && *named != '\0' && std::strcmp(named, vendor->getString()) == 0;
      },
      [this] { return status_answer(vendor_known_ ? "UnknownMessageId" : "UnknownVendorId"); });
  // Zero would be a heartbeat in every turn of the loop (D40); the others would lose messages
  // or count backwards.
  require_minimum("HeartbeatInterval", 1);
  require_minimum("TransactionMessageAttempts", 1);
  require_minimum("TransactionMessageRetryInterval", 0);
  require_minimum("ConnectionTimeOut", 0);
  require_minimum("MinimumStatusDuration", 0);
  require_minimum("ResetRetries", 0);
  require_minimum("Cst_AuthorizationTimeout", 0);
  // Required by OCPP 1.6, unknown to the library (D17). One direct current has no rotation.
  MicroOcpp::declareConfiguration<const char*>("ConnectorPhaseRotation",
                                               "0.NotApplicable,1.NotApplicable");
  // The highest level is not loaded again at the next boot (D28), so it is not offered.
  if (auto level = MicroOcpp::declareConfiguration<int>("ChargeProfileMaxStackLevel", 7,
                                                        CONFIGURATION_VOLATILE, true)) {
    level->setInt(7);
  }
  if (hooks_.reset) {
    setOnResetExecute(hooks_.reset);
  } else {
    setOnResetNotify([](bool) { return false; });
  }
}

// Unknown to the library, which does not keep the WebSocket. What the CSMS has set is read from the
// file when the key is declared.
void ChargePoint::install_ping_interval() {
  if (!hooks_.set_ping_interval) {
    return;
  }
  require_minimum("WebSocketPingInterval", 0);
  auto declared =
      MicroOcpp::declareConfiguration<int>("WebSocketPingInterval", kPingIntervalSeconds);
  ping_interval_ = declared.get();
}

void ChargePoint::install_file_services() {
  if (hooks_.files == nullptr) {
    return;
  }
  firmware_ = std::unique_ptr<FirmwareUpdate>(new FirmwareUpdate(*hooks_.files));
  firmware_->install();
  diagnostics_ = std::unique_ptr<Diagnostics>(new Diagnostics(
      *hooks_.files,
      [this] { return hooks_.diagnostics() + "\n# configuration\n" + configuration_text(); },
      hooks_.diagnostics_name));
  diagnostics_->install();
}

bool ChargePoint::charging() const { return isTransactionRunning(kConnector) || inputs_.energised; }

// The answer to what led here goes out first.
void ChargePoint::restart_for_update(evcore::Millis now) {
  if (!firmware_->restart_wanted() || charging() || !hooks_.reset) {
    restart_at_ = -1;
  } else if (restart_at_ < 0) {
    restart_at_ = now + kRestartDelay;
  } else if (now >= restart_at_) {
    hooks_.reset(true);
  }
}

void ChargePoint::loop(evcore::Millis now) {
  if (ping_interval_ != nullptr) {
    hooks_.set_ping_interval(static_cast<uint32_t>(ping_interval_->getInt()));
  }
  if (started_ < 0) {
    started_ = now;
  }
  if (!heard_) {
    heard_ = inputs_.plugged || now - started_ >= kTimeToHearVehicle;
    if (!heard_) {
      return;
    }
    end_what_power_cut();
  }
  if (firmware_) {
    firmware_->before_turn();
    diagnostics_->before_turn();
  }
  ask_profiles_again(now);
  mocpp_loop();
  refuse_doubted();
  end_who_waited_too_long(now);
  forget_given_up();
  present_waiting();
  if (firmware_) {
    firmware_->after_turn(filter_.registered());
    restart_for_update(now);
  }
}

bool ChargePoint::word_due(evcore::Millis now, evcore::OcppWord& word) {
  word = this->word();
  if (same(word, said_) && now < say_at_) {
    return false;
  }
  said_ = word;
  say_at_ = now + kRepeatWordMs;
  return true;
}

evcore::OcppWord ChargePoint::word() const {
  evcore::OcppWord word;
  if (!heard_) {
    return word;
  }
  word.connected = filter_.isConnected() && filter_.registered();
  word.transaction = isTransactionRunning(kConnector);
  word.permitted = word.transaction && ocppPermitsCharge(kConnector);
  word.limit_ma = limit_ma();
  return word;
}

std::int32_t ChargePoint::limit_ma() const {
  // Until the CSMS has told the time no profile can say what holds now: nothing flows that one
  // might forbid.
  if (has_profiles_ && !knows_time()) {
    return 0;
  }
  if (limit_a_ < 0.0F) {
    return evcore::kNoLimit;
  }
  if (limit_a_ < 2000000.0F) {
    return static_cast<std::int32_t>(limit_a_ * 1000.0F);
  }
  // Beyond what milliamperes hold, and what is not a number: no current, not no limit.
  return std::isnan(limit_a_) ? 0 : INT32_MAX;
}

// The library asks its profiles when it believes that one of them changes. It overlooks where one
// ceases to be valid, and where one begins while another has a later period (D43).
void ChargePoint::ask_profiles_again(evcore::Millis now) {
  auto* service = getOcppContext()->getModel().getSmartChargingService();
  if (service != nullptr && now >= ask_profiles_at_) {
    ask_profiles_at_ = now + kAskProfilesMs;
    has_profiles_ = false;
    service->clearChargingProfile([this](int, int, MicroOcpp::ChargingProfilePurposeType, int) {
      has_profiles_ = true;
      return false;
    });
  }
}

bool ChargePoint::stop(const std::string& reason) {
  const char* known = "Other";
  for (const char* candidate : kStopReasons) {
    if (reason == candidate) {
      known = candidate;
    }
  }
  return endTransaction(nullptr, known, kConnector);
}

}  // namespace evocpp

#endif
