/* As much of Arduino's core as the port and the sketches touch. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stddef.h>
#include <stdint.h>

#define HIGH 1
#define LOW 0
#define INPUT 0
#define OUTPUT 1
#define INPUT_PULLUP 2
#define CHANGE 1
#define FALLING 2
#define RISING 3

#ifdef __cplusplus
extern "C" {
#endif

void pinMode(uint8_t pin, uint8_t mode);
void digitalWrite(uint8_t pin, uint8_t level);
int digitalRead(uint8_t pin);
void delayMicroseconds(unsigned int us);
unsigned long micros(void);
void attachInterrupt(uint8_t interrupt, void (*handler)(void), int mode);
void detachInterrupt(uint8_t interrupt);
void noInterrupts(void);
void interrupts(void);

#define digitalPinToInterrupt(pin) (pin)

#ifdef __cplusplus
}

#define F(text) (text)

class HardwareSerial {
public:
  void begin(unsigned long baud);
  int available();
  int read();
  size_t print(const char *text);
  size_t write(const uint8_t *bytes, size_t n);
};
extern HardwareSerial Serial;
#endif

#if defined(__AVR__)
/* Timer1 of the ATmega328P; its vectors become functions. */
extern volatile uint8_t TCCR1A, TCCR1B, TIMSK1, TIFR1;
extern volatile uint16_t ICR1;
#define _BV(bit) (1 << (bit))
#define ICES1 6
#define CS11 1
#define ICIE1 5
#define TOIE1 0
#define ICF1 5
#define TOV1 0
#define ISR(vector) void vector(void); void vector(void)
#endif

#endif
