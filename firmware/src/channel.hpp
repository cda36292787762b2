// SPDX-License-Identifier: Apache-2.0
// What tasks pass to each other: values, copied under FreeRTOS's own critical section. No task
// reads another's variables, and nothing here waits but take_within, which control never calls.
#pragma once

#include <type_traits>

#include "freertos/FreeRTOS.h"
#include "freertos/queue.h"

// The latest value; a new one takes the old one's place.
template <typename T>
class Mailbox {
  static_assert(std::is_trivially_copyable<T>::value, "queues copy bytes");

 public:
  void create() { queue_ = xQueueCreate(1, sizeof(T)); }
  bool created() const { return queue_ != nullptr; }
  void put(const T& value) { xQueueOverwrite(queue_, &value); }
  // Takes the value out: it is seen once, so that an old word cannot be taken for a new one.
  bool take(T& value) { return take_within(value, 0); }
  bool take_within(T& value, TickType_t ticks) {
    return xQueueReceive(queue_, &value, ticks) == pdTRUE;
  }

 private:
  QueueHandle_t queue_ = nullptr;
};

// Values in their order; one that does not fit is refused.
template <typename T>
class Channel {
  static_assert(std::is_trivially_copyable<T>::value, "queues copy bytes");

 public:
  void create(UBaseType_t capacity) { queue_ = xQueueCreate(capacity, sizeof(T)); }
  bool created() const { return queue_ != nullptr; }
  bool put(const T& value) { return xQueueSend(queue_, &value, 0) == pdTRUE; }
  bool take(T& value) { return xQueueReceive(queue_, &value, 0) == pdTRUE; }

 private:
  QueueHandle_t queue_ = nullptr;
};
