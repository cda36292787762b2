// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once
#include "freertos/FreeRTOS.h"
typedef void* TaskHandle_t;
TickType_t xTaskGetTickCount();
uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t ticks);
void vTaskNotifyGiveFromISR(TaskHandle_t task, BaseType_t* higher);
TaskHandle_t xTaskGetCurrentTaskHandle();
BaseType_t xTaskCreatePinnedToCore(void (*code)(void*), const char* name, uint32_t stack,
                                   void* argument, UBaseType_t priority, TaskHandle_t* handle,
                                   BaseType_t core);
