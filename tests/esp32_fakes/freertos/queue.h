// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once
#include "freertos/FreeRTOS.h"
struct Queue;
typedef Queue* QueueHandle_t;
QueueHandle_t xQueueCreate(UBaseType_t capacity, unsigned size);
BaseType_t xQueueSend(QueueHandle_t queue, const void* item, TickType_t ticks);
BaseType_t xQueueReceive(QueueHandle_t queue, void* item, TickType_t ticks);
BaseType_t xQueueOverwrite(QueueHandle_t queue, const void* item);
