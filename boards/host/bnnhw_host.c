#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#define _FILE_OFFSET_BITS 64
#include "bnnhw_host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MM2S_CONTROL = 0x00, MM2S_STATUS = 0x04, MM2S_ADDRESS = 0x18, MM2S_LENGTH = 0x28 };
enum { S2MM_CONTROL = 0x30, S2MM_STATUS = 0x34, S2MM_ADDRESS = 0x48, S2MM_LENGTH = 0x58 };
enum { RUN = 1, RESET = 4, HALTED = 1, ERRORS = 0x70, COMPLETE = 0x1000 };
enum { IDENTITY = 0x00, HOLD = 0x04, STATUS = 0x08, MEMORY = 0x10, DATA = 0x14, WORD = 0x18, IDLE = 1 };
enum { REGISTERS = 0x1000, ALIGNED = 128 };
static const uint32_t MAGIC = 0x554e4e42u, VERSION = 1u;

#ifndef BNNHW_GET /* a simulation has its own */
#define BNNHW_GET(registers, at) ((registers)[(at) / 4])
#define BNNHW_SET(registers, at, value) ((registers)[(at) / 4] = (value))
#endif

static uint32_t get(volatile uint32_t *registers, unsigned at) { return BNNHW_GET(registers, at); }

static void set(volatile uint32_t *registers, unsigned at, uint32_t value) { BNNHW_SET(registers, at, value); }

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int raw_value(const struct bnnhw_layout *layout, const void *frame, size_t at) {
  if (layout->raw_bytes == 1) return layout->low < 0 ? ((const int8_t *)frame)[at] : ((const uint8_t *)frame)[at];
  return layout->low < 0 ? ((const int16_t *)frame)[at] : ((const uint16_t *)frame)[at];
}

int bnnhw_pack(const struct bnnhw_layout *layout, const void *frame, uint8_t *bytes) {
  size_t at = 0;
  memset(bytes, 0, layout->bytes_in);
  for (size_t p = 0; p < layout->pixels_in; ++p)
    for (size_t c = 0; c < layout->channels_in; ++c) {
      const int value = raw_value(layout, frame, c * layout->pixels_in + p);
      if (value < layout->low || value > layout->high) return -EINVAL;
      const int code = layout->codes ? layout->codes[value - layout->low] : value;
      if (layout->codes && code < 0) return -EINVAL;
      for (size_t b = 0; b < layout->bits_in; ++b, ++at)
        if ((unsigned)code >> b & 1) bytes[at / 8] = (uint8_t)(bytes[at / 8] | 1u << at % 8);
    }
  return 0;
}

void bnnhw_unpack(const struct bnnhw_layout *layout, const uint8_t *bytes, int64_t *outputs) {
  size_t at = 0;
  for (size_t p = 0; p < layout->pixels_out; ++p)
    for (size_t c = 0; c < layout->channels_out; ++c) {
      uint64_t code = 0;
      for (size_t b = 0; b < layout->bits_out; ++b, ++at) code |= (uint64_t)(bytes[at / 8] >> at % 8 & 1) << b;
      if (layout->is_signed && layout->bits_out < 64 && code >> (layout->bits_out - 1)) code |= ~UINT64_C(0) << layout->bits_out;
      outputs[c * layout->pixels_out + p] = layout->is_signed ? (int64_t)code : layout->values[code];
    }
}

int bnnhw_label(const struct bnnhw_layout *layout, const int64_t *outputs) {
  const size_t n = layout->channels_out * layout->pixels_out;
  size_t best = 0;
  for (size_t i = 1; i < n; ++i)
    if (layout->highest_bit ? outputs[i] > 0 : outputs[i] > outputs[best]) best = i;
  return (int)best;
}

static volatile uint8_t *map(const char *path, uint64_t offset, size_t size) {
  const int file = open(path, O_RDWR | O_SYNC);
  if (file < 0) return NULL;
  void *found = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)offset);
  const int error = errno;
  close(file);
  errno = error;
  return found == MAP_FAILED ? NULL : (volatile uint8_t *)found;
}

static void unmap(volatile void *place, size_t size) {
  if (place) munmap((void *)(uintptr_t)place, size);
}

static size_t aligned(size_t bytes) { return (bytes + ALIGNED - 1) / ALIGNED * ALIGNED; }

static int start(volatile uint32_t *dma, double patience) {
  const double until = seconds() + patience;
  set(dma, MM2S_CONTROL, RESET); /* of both channels */
  while (get(dma, MM2S_CONTROL) & RESET)
    if (seconds() > until) return -ETIMEDOUT;
  set(dma, S2MM_CONTROL, RUN);
  set(dma, MM2S_CONTROL, RUN);
  while ((get(dma, S2MM_STATUS) | get(dma, MM2S_STATUS)) & HALTED)
    if (seconds() > until) return -ETIMEDOUT;
  return 0;
}

static int connect_to(struct bnnhw_device *device, const struct bnnhw_layout *layout, const struct bnnhw_places *places) {
  const size_t in = aligned(layout->bytes_in), out = aligned(layout->bytes_out);
  memset(device, 0, sizeof *device);
  device->layout = layout;
  device->patience = 1.0;
  device->dma = (volatile uint32_t *)map(places->mem, places->dma, REGISTERS);
  if (!device->dma) return -errno;
  device->in = map(places->buffer_mem ? places->buffer_mem : places->mem, places->buffer_mem ? places->buffer_offset : places->buffer, in + out);
  if (!device->in) return -errno;
  device->out = device->in + in;
  device->in_address = places->buffer;
  device->out_address = places->buffer + in;
  if (layout->n_memories) {
    device->control = (volatile uint32_t *)map(places->control_mem ? places->control_mem : places->mem, places->control, REGISTERS);
    if (!device->control) return -errno;
    if (get(device->control, IDENTITY) != layout->identity) return -ENODEV;
  }
  return start(device->dma, device->patience);
}

int bnnhw_open(struct bnnhw_device *device, const struct bnnhw_layout *layout, const struct bnnhw_places *places) {
  const int error = connect_to(device, layout, places);
  if (error) bnnhw_close(device);
  return error;
}

void bnnhw_close(struct bnnhw_device *device) {
  unmap(device->dma, REGISTERS);
  unmap(device->control, REGISTERS);
  unmap(device->in, aligned(device->layout->bytes_in) + aligned(device->layout->bytes_out));
  device->dma = device->control = NULL;
  device->in = device->out = NULL;
}

static int complete(struct bnnhw_device *device, unsigned status) {
  const double until = seconds() + device->patience;
  for (;;) {
    const uint32_t seen = get(device->dma, status);
    if (seen & ERRORS) {
      start(device->dma, device->patience);
      return -EIO;
    }
    if (seen & COMPLETE) break;
    if (seconds() > until) {
      start(device->dma, device->patience);
      return -ETIMEDOUT;
    }
  }
  set(device->dma, status, COMPLETE);
  return 0;
}

static void transfer(struct bnnhw_device *device, unsigned address, unsigned length, uint64_t place, size_t bytes) {
  set(device->dma, address, (uint32_t)place);
  if (place >> 32) set(device->dma, address + 4, (uint32_t)(place >> 32));
  __sync_synchronize();
  set(device->dma, length, (uint32_t)bytes); /* which starts it */
}

int bnnhw_run(struct bnnhw_device *device, const void *frame, int64_t *outputs) {
  const struct bnnhw_layout *layout = device->layout;
  uint8_t *bytes = malloc(layout->bytes_in > layout->bytes_out ? layout->bytes_in : layout->bytes_out);
  if (!bytes) return -ENOMEM;
  int error = bnnhw_pack(layout, frame, bytes);
  if (!error) {
    for (size_t i = 0; i < layout->bytes_in; ++i) device->in[i] = bytes[i];
    transfer(device, S2MM_ADDRESS, S2MM_LENGTH, device->out_address, layout->bytes_out);
    transfer(device, MM2S_ADDRESS, MM2S_LENGTH, device->in_address, layout->bytes_in);
    error = complete(device, MM2S_STATUS);
  }
  if (!error) error = complete(device, S2MM_STATUS);
  if (!error) {
    __sync_synchronize();
    for (size_t i = 0; i < layout->bytes_out; ++i) bytes[i] = device->out[i];
    bnnhw_unpack(layout, bytes, outputs);
  }
  free(bytes);
  return error;
}

static int next(FILE *file, uint32_t *value) {
  uint8_t raw[4];
  if (fread(raw, 1, 4, file) != 4) return -EBADMSG;
  *value = (uint32_t)raw[0] | (uint32_t)raw[1] << 8 | (uint32_t)raw[2] << 16 | (uint32_t)raw[3] << 24;
  return 0;
}

/* Reads the file once: to check it without a device, then to write it. */
static int take(const struct bnnhw_layout *layout, volatile uint32_t *control, FILE *file) {
  uint32_t magic, version, identity, count, number, words, parts, value;
  if (next(file, &magic) || next(file, &version) || next(file, &identity) || next(file, &count)) return -EBADMSG;
  if (magic != MAGIC || version != VERSION || identity != layout->identity) return -EBADMSG;
  if (count != layout->n_memories) return -EBADMSG;
  for (uint32_t expected = 0; expected < count; ++expected) {
    if (next(file, &number) || next(file, &words) || next(file, &parts) || number != expected) return -EBADMSG;
    if (words != layout->memories[number].words || parts != layout->memories[number].parts) return -EBADMSG;
    if (control) set(control, MEMORY, number);
    for (uint32_t word = 0; word < words; ++word) {
      for (uint32_t part = 0; part < parts; ++part) {
        if (next(file, &value)) return -EBADMSG;
        if (control) set(control, DATA, value);
      }
      if (control) set(control, WORD, word);
    }
  }
  return fgetc(file) == EOF ? 0 : -EBADMSG;
}

int bnnhw_update(struct bnnhw_device *device, const char *file) {
  if (!device->control) return -ENOTSUP;
  FILE *stream = fopen(file, "rb");
  if (!stream) return -errno;
  int error = take(device->layout, NULL, stream);
  if (!error) {
    const double until = seconds() + device->patience;
    set(device->control, HOLD, 1);
    while (!error && !(get(device->control, STATUS) & IDLE))
      if (seconds() > until) error = -ETIMEDOUT;
    rewind(stream);
    if (!error) error = take(device->layout, device->control, stream);
    set(device->control, HOLD, 0);
  }
  fclose(stream);
  return error;
}
