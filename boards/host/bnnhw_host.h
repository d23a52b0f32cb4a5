/* Host driver in C of a generated network: packs frames, moves them by an AXI DMA through /dev/mem or UIO, unpacks outputs, writes new weights.
 *
 *   #include "layout.h"                                   the layout of the design: bnnhw_layout
 *   struct bnnhw_places places = {.mem = "/dev/mem", .dma = 0x40400000, .control = 0x40410000, .buffer = 0x1f000000};
 *   struct bnnhw_device device;
 *   int error = bnnhw_open(&device, &bnnhw_layout, &places);
 *   error = bnnhw_run(&device, frame, outputs);           one frame, one transfer each way
 *   int label = bnnhw_label(&bnnhw_layout, outputs);
 *
 * `buffer` is physically contiguous memory that Linux leaves alone (a reserved-memory node with no-map) or that u-dma-buf gives
 * (its device in `buffer_mem`). Functions return 0, or a negative errno. Registers of the DMA: PG021; of the network: rtl/bnn_control.v.
 */
#ifndef BNNHW_HOST_H
#define BNNHW_HOST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bnnhw_memory {
  uint32_t words, parts;
};

struct bnnhw_layout {
  size_t channels_in, pixels_in, bits_in, bytes_in;
  int low, high;         /* least and greatest raw value */
  size_t raw_bytes;      /* of one, 1 or 2 */
  const int16_t *codes;  /* of raw values from `low` on, -1 for none; NULL: a value is its own code */
  size_t channels_out, pixels_out, bits_out, bytes_out;
  int is_signed;         /* outputs are two's complement, else values[code] */
  const int64_t *values;
  int highest_bit;       /* the label is the highest output that is set, else the first largest */
  uint32_t identity;
  size_t n_memories;     /* that are written at run time */
  const struct bnnhw_memory *memories;
};

struct bnnhw_places {
  const char *mem;         /* "/dev/mem", or a UIO device of the DMA, with dma = 0 */
  uint64_t dma;            /* physical address of the DMA's registers */
  const char *control_mem; /* where the network's registers are mapped from; NULL: as `mem` */
  uint64_t control;        /* their physical address; not used without writable layers */
  const char *buffer_mem;  /* where the buffer is mapped from; NULL: as `mem` */
  uint64_t buffer;         /* its physical address, for the DMA */
  uint64_t buffer_offset;  /* its place in buffer_mem: 0 for u-dma-buf, else as `buffer` */
};

struct bnnhw_device {
  const struct bnnhw_layout *layout;
  volatile uint32_t *dma, *control;
  volatile uint8_t *in, *out;
  uint64_t in_address, out_address;
  double patience; /* seconds in which a frame must have come back */
};

/* bytes[bytes_in] of a frame [channels][pixels] of raw values, (u)int8_t or (u)int16_t by raw_bytes and the sign of `low`; -EINVAL for a value that the input does not take. */
int bnnhw_pack(const struct bnnhw_layout *layout, const void *frame, uint8_t *bytes);
/* outputs [channels_out][pixels_out] of bytes[bytes_out]. */
void bnnhw_unpack(const struct bnnhw_layout *layout, const uint8_t *bytes, int64_t *outputs);
/* Class of outputs. */
int bnnhw_label(const struct bnnhw_layout *layout, const int64_t *outputs);

/* Maps registers and buffers and starts the DMA; -ENODEV where the design is another. */
int bnnhw_open(struct bnnhw_device *device, const struct bnnhw_layout *layout, const struct bnnhw_places *places);
/* Gives the mappings back. */
void bnnhw_close(struct bnnhw_device *device);
/* Outputs of a frame; -ETIMEDOUT, or -EIO where the DMA reports an error. */
int bnnhw_run(struct bnnhw_device *device, const void *frame, int64_t *outputs);
/* Writes a file of `bnnhw update`; frames inside see the old weights, later ones the new. -EBADMSG for a file that is none of this design's. */
int bnnhw_update(struct bnnhw_device *device, const char *file);

#ifdef __cplusplus
}
#endif
#endif
