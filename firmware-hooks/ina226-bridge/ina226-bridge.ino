// INA226 bridge: samples and edges on one clock over the INB1 protocol (inb1.h). The logic is in inb1.c, which is tested
// without a board.
//
// Wiring: SDA and SCL to the INA226 (address 0x40), its ALERT to D2, the DUT's trigger pin to D3, ground. A board whose
// serial port is USB (or at least 921600 baud).
//
// Both interrupts read micros(): a stamp is late by as much as another interrupt lasts. A board with input capture can do
// better.
#include <Wire.h>

#include "inb1.h"

static const uint8_t address = 0x40;
static const uint8_t pinAlert = 2;
static const uint8_t pinTrigger = 3;

static const uint8_t registerConfig = 0x00;
static const uint8_t registerShunt = 0x01;
static const uint8_t registerBus = 0x02;
static const uint8_t registerMask = 0x06;
static const uint8_t registerDie = 0xFF;
static const uint16_t alertOnConversion = 0x0400;

struct Stamp {
  uint64_t tick;
  bool isHigh;
};

static inb1_t bridge;
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

static uint16_t readRegister(uint8_t number) {
  Wire.beginTransmission(address);
  Wire.write(number);
  Wire.endTransmission(false);
  Wire.requestFrom(address, (uint8_t)2);
  const uint16_t high = Wire.read();
  return (high << 8) | (uint16_t)Wire.read();
}

static void writeHost(const uint8_t *bytes, uint32_t n) { Serial.write(bytes, n); }

static bool configure(uint8_t, uint16_t config) { return writeRegister(registerConfig, config); }

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
  writeRegister(registerMask, alertOnConversion);
  readRegister(registerMask);  // releases ALERT
}

static const inb1_board_t board = {"joulemark-1.0.0", "00", writeHost, nowTicks, configure, setLines, run};

void setup() {
  pinMode(pinAlert, INPUT_PULLUP);
  pinMode(pinTrigger, INPUT);
  Serial.begin(921600);
  Wire.begin();
  Wire.setClock(400000);
  const inb1_chip_t chip = {address, readRegister(registerDie), 0x4127, 0.1f};
  const bool isThere = (chip.die & 0xFFF0) == 0x2260;
  inb1_init(&bridge, &board, &chip, isThere ? 1 : 0);
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
    readRegister(registerMask);
    const int16_t shunt = (int16_t)readRegister(registerShunt);
    inb1_sample(&bridge, 0, tick, shunt, readRegister(registerBus));
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
