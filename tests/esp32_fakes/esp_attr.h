// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once
#define IRAM_ATTR
