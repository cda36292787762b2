// SPDX-License-Identifier: Apache-2.0
// Who may charge: cards, the local list, the cache, and what is known of a tag after a restart.
#if defined(EVTOOL_WITH_MICROOCPP)

#include <MicroOcpp.h>
#include <MicroOcpp/Core/Configuration.h>
#include <MicroOcpp/Core/Context.h>
#include <MicroOcpp/Model/Authorization/AuthorizationService.h>
#include <MicroOcpp/Model/ConnectorBase/Connector.h>
#include <MicroOcpp/Model/Model.h>
#include <MicroOcpp/Model/Transactions/TransactionStore.h>

#include <algorithm>
#include <cstring>

#include "evocpp/charge_point.hpp"
#include "evocpp/configuration_keys.hpp"
#include "evocpp/reservations.hpp"

namespace evocpp {
namespace {

constexpr unsigned kConnector = 1;
// Of messages that wait: more than a unit counts in its life, and counted through in no time.
constexpr unsigned kHighestNumber = 2000000;
constexpr size_t kSecondsEnd = 19;  // of YYYY-MM-DDTHH:MM:SS

// What the local list says of a tag, null where it says nothing.
MicroOcpp::AuthorizationData* listed_tag(const char* id_tag) {
  auto* authorization = getOcppContext()->getModel().getAuthorizationService();
  return authorization != nullptr ? authorization->getLocalAuthorization(id_tag) : nullptr;
}

// Whether it is open who may use the connector: the library has not let in who identified, or has
// not let go yet of one who was given up.
bool undecided(MicroOcpp::Transaction& transaction) {
  return !transaction.isAuthorized() ||
         (!transaction.isActive() && !transaction.getStartSync().isRequested());
}

}  // namespace

bool ChargePoint::start(const std::string& id_tag) {
  if (id_tag.empty() || getTransaction(kConnector)) {
    return false;
  }
  const char* tag = id_tag.c_str();
  // The library's own rules know the local list, which goes before the cache.
  if (listed_tag(tag) != nullptr) {
    return beginTransaction(tag, kConnector) != nullptr;
  }
  const bool online = filter_.isConnected();
  if (!online && refused_tag(tag)) {
    return false;  // AllowOfflineTxForUnknownId is for tags that are unknown
  }
  const IdTagInfo* known =
      enabled(online ? "LocalPreAuthorize" : "LocalAuthorizeOffline") ? cached_tag(tag) : nullptr;
  if (known == nullptr) {
    doubt(tag);
    return beginTransaction(tag, kConnector) != nullptr;
  }
  return reserved_for(tag, known->parent) &&
         beginTransaction_authorized(tag, known->parent.empty() ? nullptr : known->parent.c_str(),
                                     kConnector) != nullptr;
}

void ChargePoint::present(const std::string& id_tag) {
  const auto transaction = getTransaction(kConnector);
  if (!transaction) {
    start(id_tag);
  } else if (id_tag == transaction->getIdTag()) {
    endTransaction(id_tag.c_str(), "Local", kConnector);
  } else if (undecided(*transaction)) {
    waiting_card_ = id_tag;
  } else {
    stop_as_relative(id_tag);
  }
}

// A card that came while another one was being authorised takes its turn where that one may not
// begin.
void ChargePoint::present_waiting() {
  const auto transaction = getTransaction(kConnector);
  if (waiting_card_.empty() || (transaction && undecided(*transaction))) {
    return;
  }
  const std::string id_tag = std::move(waiting_card_);
  waiting_card_.clear();
  if (!transaction) {
    start(id_tag);
  }
}

// The library's own endTransaction() for another tag crashes on the answer (D7).
void ChargePoint::stop_as_relative(const std::string& id_tag) {
  const auto transaction = getTransaction(kConnector);
  const std::string parent = transaction->getParentIdTag();
  if (parent.empty() || !transaction->isActive()) {
    return;
  }
  if (!filter_.isConnected()) {
    const IdTagInfo* known = accepted_tag(id_tag.c_str());
    if (enabled("LocalAuthorizeOffline") && known != nullptr && known->parent == parent) {
      endTransaction_authorized(id_tag.c_str(), "Local", kConnector);
    }
    return;
  }
  authorize(id_tag.c_str(), [id_tag, parent, transaction](JsonObject answer) {
    const JsonObject info = answer["idTagInfo"];
    if (std::strcmp(info["status"] | "", "Accepted") == 0 && parent == (info["parentIdTag"] | "") &&
        getTransaction(kConnector) == transaction) {
      endTransaction_authorized(id_tag.c_str(), "Local", kConnector);
    }
  });
}

// What is known of a tag on the local list, or else in the cache, where it may charge; else null.
const IdTagInfo* ChargePoint::accepted_tag(const char* id_tag) {
  auto* listed = listed_tag(id_tag);
  if (listed == nullptr) {
    return cached_tag(id_tag);
  }
  if (listed->getAuthorizationStatus() != MicroOcpp::AuthorizationStatus::Accepted ||
      (listed->getExpiryDate() != nullptr &&
       *listed->getExpiryDate() < getOcppContext()->getModel().getClock().now())) {
    return nullptr;
  }
  listed_ = {"Accepted", listed->getParentIdTag() != nullptr ? listed->getParentIdTag() : "", ""};
  return &listed_;
}

const IdTagInfo* ChargePoint::cached_tag(const char* id_tag) const {
  const IdTagInfo* known = enabled("AuthorizationCacheEnabled") ? cache_.find(id_tag) : nullptr;
  if (known == nullptr || known->status != "Accepted") {
    return nullptr;
  }
  // As text, because the library's times end with 2037.
  char now[JSONDATE_LENGTH + 1] = {};
  getOcppContext()->getModel().getClock().now().toJsonString(now, sizeof now);
  const bool expired =
      !known->expires.empty() && known->expires.compare(0, kSecondsEnd, now, kSecondsEnd) <= 0;
  return expired ? nullptr : known;
}

// True where the cache knows a tag that may not charge.
bool ChargePoint::refused_tag(const char* id_tag) const {
  return enabled("AuthorizationCacheEnabled") && cache_.find(id_tag) != nullptr &&
         cached_tag(id_tag) == nullptr;
}

// The library's offline rules, which decide where Authorize gets no answer, do not know the cache:
// to AllowOfflineTxForUnknownId a tag that the CSMS has refused would be an unknown one.
void ChargePoint::doubt(const char* id_tag) {
  doubted_tag_ = refused_tag(id_tag) && listed_tag(id_tag) == nullptr ? id_tag : "";
}

// Whether a transaction may begin of whoever the library has let in.
bool ChargePoint::may_begin() const {
  const auto transaction = getTransaction(kConnector);
  return !transaction || doubted_tag_.empty() || doubted_tag_ != transaction->getIdTag();
}

void ChargePoint::refuse_doubted() {
  const auto transaction = getTransaction(kConnector);
  if (!may_begin() && transaction->isAuthorized() && !isTransactionRunning(kConnector)) {
    doubted_tag_.clear();
    endTransaction(nullptr, "DeAuthorized", kConnector);
  }
}

// Who had identified before the restart and has no transaction yet is forgotten. The library would
// wait for the answer to an Authorize of the boot before, with the vehicle there for ever; and
// without the time of day ConnectionTimeOut would never end what is authorised: the next vehicle
// would charge on that tag.
void ChargePoint::forget_who_waited() {
  if (isTransactionActive(kConnector) && !isTransactionRunning(kConnector)) {
    endTransaction(nullptr, "Other", kConnector);
  }
}

// The library numbers what it has to tell of transactions, in order, keeps the numbers of starts
// and stops, and begins again at every boot: what arises now would overtake what waits from before,
// and MeterValues would be told before the start of their transaction, without its id.
void ChargePoint::go_on_counting() {
  auto* context = getOcppContext();
  auto* connector = context->getModel().getConnector(kConnector);
  auto* store = context->getModel().getTransactionStore();
  if (connector == nullptr || store == nullptr) {
    return;
  }
  unsigned last = 0;
  const unsigned end = connector->getTxNrEnd();
  for (unsigned number = connector->getTxNrFront(); number != end;
       number = (number + 1) % MAX_TX_CNT) {
    const auto transaction = store->getTransaction(kConnector, number);
    if (transaction) {
      last = std::max(
          {last, transaction->getStartSync().getOpNr(), transaction->getStopSync().getOpNr()});
    }
  }
  if (last > kHighestNumber) {
    return;  // no number of ours
  }
  while (context->getRequestQueue().getNextOpNr() < last) {
  }
}

// By our own clock too: the library counts by the time of day, which before the registration nobody
// has told.
void ChargePoint::end_who_waited_too_long(evcore::Millis now) {
  const auto transaction = getTransaction(kConnector);
  if (!transaction || !transaction->isActive() || transaction->isRunning()) {
    waiting_ = nullptr;
    return;
  }
  if (waiting_ != transaction.get()) {
    waiting_ = transaction.get();
    waits_since_ = now;
  }
  auto* limit = MicroOcpp::getConfigurationPublic("ConnectionTimeOut");
  const evcore::Millis limit_s = limit != nullptr ? limit->getInt() : 0;
  if (limit_s > 0 && !inputs_.plugged && now - waits_since_ >= limit_s * 1000) {
    endTransaction(nullptr, "Other", kConnector);
  }
}

// A transaction that ran when the power went, and whose vehicle has left since.
void ChargePoint::end_what_power_cut() {
  if (isTransactionRunning(kConnector) && isTransactionActive(kConnector) && !inputs_.plugged &&
      enabled("StopTransactionOnEVSideDisconnect")) {
    endTransaction(nullptr, "PowerLoss", kConnector);
  }
}

}  // namespace evocpp

#endif
