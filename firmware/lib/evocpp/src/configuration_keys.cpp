// SPDX-License-Identifier: Apache-2.0
#if defined(EVTOOL_WITH_MICROOCPP)

#include "evocpp/configuration_keys.hpp"

#include <MicroOcpp/Core/Configuration.h>
#include <strings.h>

#include <cstdlib>
#include <cstring>

namespace evocpp {
namespace {

constexpr size_t kMostDigits = 9;  // as the library's ChangeConfiguration

bool parse_int(const std::string& text, int& out) {
  const size_t sign = text[0] == '-' ? 1 : 0;
  const std::string digits = text.substr(sign);
  if (digits.empty() || digits.size() > kMostDigits ||
      digits.find_first_not_of("0123456789") != std::string::npos) {
    return false;
  }
  out = std::atoi(text.c_str());
  return true;
}

bool same_value(MicroOcpp::Configuration& configuration, const std::string& value) {
  int number = 0;
  switch (configuration.getType()) {
    case MicroOcpp::TConfig::Int:
      return parse_int(value, number) && number == configuration.getInt();
    case MicroOcpp::TConfig::Bool:
      return value == (configuration.getBool() ? "true" : "false");
    default:
      return value == configuration.getString();
  }
}

bool set_value(MicroOcpp::Configuration& configuration, const std::string& value) {
  int number = 0;
  switch (configuration.getType()) {
    case MicroOcpp::TConfig::Int:
      if (!parse_int(value, number)) {
        return false;
      }
      configuration.setInt(number);
      return true;
    case MicroOcpp::TConfig::Bool:
      if (value != "true" && value != "false") {
        return false;
      }
      configuration.setBool(value == "true");
      return true;
    default:
      return configuration.setString(value.c_str());
  }
}

}  // namespace

bool enabled(const char* key) {
  auto* configuration = MicroOcpp::getConfigurationPublic(key);
  return configuration != nullptr && configuration->getType() == MicroOcpp::TConfig::Bool &&
         configuration->getBool();
}

const char* preset_configuration(const std::string& key, const std::string& value) {
  auto* configuration = MicroOcpp::getConfigurationPublic(key.c_str());
  if (configuration == nullptr) {
    return "NotSupported";
  }
  if (same_value(*configuration, value)) {
    return "Accepted";
  }
  auto* allowed = MicroOcpp::getConfigurationValidator(key.c_str());
  if (configuration->isReadOnly() || (allowed != nullptr && !(*allowed)(value.c_str())) ||
      !set_value(*configuration, value)) {
    return "Rejected";
  }
  return MicroOcpp::configuration_save() ? "Accepted" : "Rejected";
}

const char* declared_key(const char* key) {
  for (MicroOcpp::ConfigurationContainer* container :
       MicroOcpp::getConfigurationContainersPublic()) {
    for (size_t i = 0; i < container->size(); ++i) {
      MicroOcpp::Configuration* entry = container->getConfiguration(i);
      const char* declared = entry != nullptr ? entry->getKey() : nullptr;
      if (declared != nullptr && strcasecmp(declared, key) == 0) {
        return std::strcmp(declared, key) == 0 ? nullptr : declared;
      }
    }
  }
  return nullptr;
}

}  // namespace evocpp

#endif
