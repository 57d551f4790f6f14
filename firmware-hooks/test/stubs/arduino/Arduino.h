/* As much of Arduino's core as the port touches; calls are printed. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stdint.h>

#define HIGH 1
#define LOW 0
#define OUTPUT 1

#ifdef __cplusplus
extern "C" {
#endif

void pinMode(uint8_t pin, uint8_t mode);
void digitalWrite(uint8_t pin, uint8_t level);
void delayMicroseconds(unsigned int us);
unsigned long micros(void);

#ifdef __cplusplus
}
#endif

#endif
