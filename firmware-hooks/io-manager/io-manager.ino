// IO manager for an Arduino UNO: passes commands on to the DUT (9600 baud, level shifters between) and stamps the edges of
// its timestamp pin. The logic is in im_core.c, which is tested without a board.
//
// Wiring: D8 = the DUT's timestamp pin, D10 = the DUT's TX, D11 = the DUT's RX, ground. Level shifters for a DUT below 5 V.
//
// On AVR boards the edges are captured by Timer1 in hardware (ICP1 = D8; 0.5 us), so that serial interrupts cannot delay
// them. Elsewhere an interrupt reads micros(), later by as much as another interrupt lasts.
#include <SoftwareSerial.h>

#include "im_core.h"

static const uint8_t pinTimestamp = 8;
static SoftwareSerial dutPort(10, 11);  // RX, TX
static im_t im;

static void toHost(const char *text) { Serial.print(text); }
static void toDut(const char *text) { dutPort.print(text); }

#if defined(__AVR__) && defined(ICIE1)

static volatile uint16_t overflows = 0;
static volatile bool isFallingOnly = true;

ISR(TIMER1_OVF_vect) { overflows++; }

ISR(TIMER1_CAPT_vect) {
  const uint16_t captured = ICR1;
  const bool isOverflowPending = (TIFR1 & _BV(TOV1)) != 0;
  if (!isFallingOnly) {
    TCCR1B ^= _BV(ICES1);
    TIFR1 = _BV(ICF1);  // changing the edge may raise the flag
  }
  im_edge(&im, im_extend(overflows, captured, isOverflowPending) / 2);
}

// Normal mode, clock / 8 = 2 MHz; ticks wrap after 35.8 minutes.
static void timer(bool isOn, bool fallingOnly) {
  TIMSK1 = 0;
  if (!isOn) return;
  isFallingOnly = fallingOnly;
  TCCR1A = 0;
  const bool waitsForRise = !fallingOnly && digitalRead(pinTimestamp) == LOW;
  TCCR1B = _BV(CS11) | (waitsForRise ? _BV(ICES1) : 0);
  TIFR1 = _BV(ICF1);
  TIMSK1 = _BV(ICIE1) | _BV(TOIE1);
}

#else

static void onEdge() { im_edge(&im, (uint32_t)micros()); }

static void timer(bool isOn, bool fallingOnly) {
  detachInterrupt(digitalPinToInterrupt(pinTimestamp));
  if (isOn) attachInterrupt(digitalPinToInterrupt(pinTimestamp), onEdge, fallingOnly ? FALLING : CHANGE);
}

#endif

static const im_ports_t ports = {toHost, toDut, timer};

void setup() {
  pinMode(pinTimestamp, INPUT_PULLUP);
  Serial.begin(115200);
  dutPort.begin(9600);
  im_init(&im, &ports);
  Serial.print(F("m-ready\r\n"));
}

void loop() {
  if (Serial.available() > 0) im_host(&im, (char)Serial.read());
  while (dutPort.available() > 0) im_dut(&im, (char)dutPort.read());
  im_poll(&im);
}
