// SPDX-License-Identifier: Apache-2.0
#if defined(EVTOOL_WITH_MICROOCPP)

#include "evocpp/reservations.hpp"

#include <MicroOcpp.h>
#include <MicroOcpp/Core/Context.h>
#include <MicroOcpp/Model/Model.h>
#include <MicroOcpp/Model/Reservation/ReservationService.h>

#include "evocpp/configuration_keys.hpp"

namespace evocpp {
namespace {

constexpr unsigned kConnector = 1;

// The one that blocks the connector or is this tag's, null for none.
MicroOcpp::Reservation* reservation_for(const char* id_tag, const char* parent) {
  auto* context = getOcppContext();
  auto* service = context != nullptr ? context->getModel().getReservationService() : nullptr;
  return service != nullptr ? service->getReservation(kConnector, id_tag, parent) : nullptr;
}

}  // namespace

bool may_start(const char* id_tag) {
  auto* reservation = reservation_for(id_tag, nullptr);
  return reservation == nullptr || reservation->matches(id_tag, nullptr) ||
         (enabled("AuthorizeRemoteTxRequests") && *reservation->getParentIdTag() != '\0');
}

bool reserved_for(const char* id_tag, const std::string& parent) {
  const char* parent_tag = parent.empty() ? nullptr : parent.c_str();
  auto* reservation = reservation_for(id_tag, parent_tag);
  return reservation == nullptr || reservation->matches(id_tag, parent_tag);
}

}  // namespace evocpp

#endif
