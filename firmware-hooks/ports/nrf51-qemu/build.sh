#!/bin/sh
# Builds the firmware. Usage: build.sh <out.elf> energy|performance|marks [more compiler options]
# `marks` is `performance` with a rest of 2 ms after each marked inference.
# The compiler is arm-none-eabi-gcc, or what CC says.
set -eu
out=$1
mode=$2
shift 2
here=$(dirname "$0")
root=$here/../..
case $mode in
energy) options="-DEE_CFG_ENERGY_MODE=1 -DUART_CHARACTER_US=1042u" ;;
performance) options="-DEE_CFG_ENERGY_MODE=0 -DUART_CHARACTER_US=87u" ;;
marks) options="-DEE_CFG_ENERGY_MODE=0 -DUART_CHARACTER_US=87u -DJM_DUT_REST_US=2000u" ;;
*)
  echo "build.sh: mode is energy, performance or marks, not $mode" >&2
  exit 2
  ;;
esac
# In QEMU a turn of the waiting loop is two instructions of 64 ns: 125 turns in 16 us.
exec "${CC:-arm-none-eabi-gcc}" -std=c99 -mcpu=cortex-m0 -mthumb -O2 -ffreestanding -nostdlib -nostartfiles \
  -Wall -Wextra -Werror -pedantic -ffunction-sections -fdata-sections -Wl,--gc-sections \
  $options -include "$here/uart.h" -DJM_NRF51_COUNTED_US=uart_counted_us -DJM_NRF51_TURNS_PER_16_US=125u "-DJM_DUT_NAME=\"SIMULATED Joulemark microbit in QEMU\"" "$@" \
  -I "$root/include" -I "$root/glue" -I "$root/network" -I "$here/../nrf51" -T "$here/nrf51.ld" \
  "$here/startup.c" "$here/uart.c" "$here/main.c" "$root/src/jm_monitor.c" "$root/src/jm_sync.c" "$root/network/jm_net.c" -lgcc -o "$out"
