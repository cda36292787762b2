// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "evhealth/health.hpp"

// As it was within the last second; for any task. evhealth::render_health makes a text of it.
evhealth::Health health_now();
