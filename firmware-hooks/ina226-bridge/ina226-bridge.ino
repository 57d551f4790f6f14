// Bridge for an INA226 or INA228: samples and edges on one clock over the INB1 protocol (inb1.h). The logic is in inb1.c,
// which is tested without a board.
//
// Wiring: SDA and SCL to the chip (address 0x40), its ALERT to D2, the DUT's trigger pin to D3, ground. A board whose
// serial port is USB (or at least 921600 baud).
//
// Both interrupts read micros(): a stamp is late by as much as another interrupt lasts. A board with input capture can do
// better.
#include <Wire.h>

#include "inb1.h"

static const uint8_t address = 0x40;
static const uint8_t pinAlert = 2;
static const uint8_t pinTrigger = 3;

// INA226
static const uint8_t registerConfig = 0x00;
static const uint8_t registerShunt = 0x01;
static const uint8_t registerBus = 0x02;
static const uint8_t registerMask = 0x06;
static const uint8_t registerDie = 0xFF;
static const uint16_t alertOnConversion = 0x0400;

// INA228; CONFIG has the same number
static const uint8_t registerAdcConfig228 = 0x01;
static const uint8_t registerShunt228 = 0x04;
static const uint8_t registerBus228 = 0x05;
static const uint8_t registerFlags228 = 0x0B;
static const uint8_t registerDie228 = 0x3F;
static const uint16_t latchedAlertOnConversion228 = 0xC000;

struct Stamp {
  uint64_t tick;
  bool isHigh;
};

static inb1_t bridge;
static bool is228 = false;
static volatile bool isReady = false;
static volatile uint32_t missed = 0;
static volatile uint64_t readyTick = 0;
static volatile uint8_t head = 0;
static volatile uint8_t tail = 0;
static volatile uint32_t lostEdges = 0;
static Stamp edges[16];
static uint8_t watched = 1;

// micros() in 64 bits. Called with interrupts off, and more often than once in 71 minutes.
static uint64_t ticks() {
  static uint32_t last = 0;
  static uint32_t wraps = 0;
  const uint32_t now = micros();
  if (now < last) wraps++;
  last = now;
  return ((uint64_t)wraps << 32) | now;
}

static uint64_t nowTicks() {
  noInterrupts();
  const uint64_t now = ticks();
  interrupts();
  return now;
}

static void onAlert() {
  if (isReady) missed++;
  readyTick = ticks();
  isReady = true;
}

static void onEdge() {
  const uint8_t next = (head + 1) % 16;
  if (next == tail) {
    lostEdges++;
    return;
  }
  edges[head].tick = ticks();
  edges[head].isHigh = digitalRead(pinTrigger) == HIGH;
  head = next;
}

static bool writeRegister(uint8_t number, uint16_t value) {
  Wire.beginTransmission(address);
  Wire.write(number);
  Wire.write(value >> 8);
  Wire.write(value & 0xFF);
  return Wire.endTransmission() == 0;
}

static uint32_t readBytes(uint8_t number, uint8_t count) {
  Wire.beginTransmission(address);
  Wire.write(number);
  Wire.endTransmission(false);
  Wire.requestFrom(address, count);
  uint32_t value = 0;
  for (uint8_t k = 0; k < count; k++) value = (value << 8) | (uint8_t)Wire.read();
  return value;
}

static uint16_t readRegister(uint8_t number) { return (uint16_t)readBytes(number, 2); }

// 20 bits in two's complement in bits 23:4.
static int32_t readResult228(uint8_t number) { return (int32_t)(readBytes(number, 3) << 8) >> 12; }

// Tells that a conversion is ready, and releases ALERT.
static void readFlags() { readRegister(is228 ? registerFlags228 : registerMask); }

static void writeHost(const uint8_t *bytes, uint32_t n) { Serial.write(bytes, n); }

static bool configure(uint8_t, uint16_t config, uint16_t adcConfig) {
  if (!writeRegister(registerConfig, config)) return false;
  return !is228 || writeRegister(registerAdcConfig228, adcConfig);
}

static void setLines(uint8_t mask, inb1_edges_t which) {
  watched = mask;
  detachInterrupt(digitalPinToInterrupt(pinTrigger));
  if ((mask & 1) == 0) return;
  const int mode = which == INB1_RISE ? RISING : which == INB1_FALL ? FALLING : CHANGE;
  attachInterrupt(digitalPinToInterrupt(pinTrigger), onEdge, mode);
}

static void run(bool isRunning) {
  detachInterrupt(digitalPinToInterrupt(pinAlert));
  if (!isRunning) return;
  isReady = false;
  missed = 0;
  attachInterrupt(digitalPinToInterrupt(pinAlert), onAlert, FALLING);
  if (is228) writeRegister(registerFlags228, latchedAlertOnConversion228);
  else writeRegister(registerMask, alertOnConversion);
  readFlags();
}

static const inb1_board_t board = {"joulemark-1.0.0", "00", writeHost, nowTicks, configure, setLines, run};

void setup() {
  pinMode(pinAlert, INPUT_PULLUP);
  pinMode(pinTrigger, INPUT);
  Serial.begin(921600);
  Wire.begin();
  Wire.setClock(400000);
  // Each type has its number where the other has none.
  const inb1_chip_t chip226 = {address, readRegister(registerDie), 0x4127, 0, 0.1f};
  const inb1_chip_t chip228 = {address, readRegister(registerDie228), 0x0000, 0xFB68, 0.1f};
  is228 = inb1_is_ina228(&chip228);
  const bool isThere = is228 || (chip226.die & 0xFFF0) == 0x2260;
  inb1_init(&bridge, &board, is228 ? &chip228 : &chip226, isThere ? 1 : 0);
  setLines(watched, INB1_BOTH);
}

void loop() {
  while (Serial.available() > 0) inb1_receive(&bridge, (char)Serial.read());
  if (isReady) {
    noInterrupts();
    const uint64_t tick = readyTick;
    const uint32_t lost = missed;
    missed = 0;
    isReady = false;
    interrupts();
    if (lost > 0) inb1_lost(&bridge, 0, lost);
    readFlags();
    const int32_t shunt = is228 ? readResult228(registerShunt228) : (int16_t)readRegister(registerShunt);
    const int32_t bus = is228 ? readResult228(registerBus228) : (int32_t)readRegister(registerBus);
    inb1_sample(&bridge, 0, tick, shunt, bus);
  }
  while (tail != head) {
    inb1_edge(&bridge, edges[tail].tick, 0, edges[tail].isHigh);
    tail = (tail + 1) % 16;
  }
  noInterrupts();
  const uint32_t lost = lostEdges;
  lostEdges = 0;
  interrupts();
  inb1_edges_lost(&bridge, lost);
}
