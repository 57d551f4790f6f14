#ifndef SOFTWARE_SERIAL_H
#define SOFTWARE_SERIAL_H

#include "Arduino.h"

class SoftwareSerial {
public:
  SoftwareSerial(uint8_t rx, uint8_t tx);
  void begin(long baud);
  int available();
  int read();
  size_t print(const char *text);
};

#endif
