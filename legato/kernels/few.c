// Convolutions between few channels: up to two registers of outputs, windows of any size. What oneDNN does well begins at
// some 32 channels; below, half of its time goes into lanes that are empty.
//
// Maps lie channels last, so a row of a window is one piece of memory, size · inputs numbers long, and the next pixel's
// begins `stride · inputs` later: a product of matrices whose lines overlap, and nothing has to be gathered.
#include "lanes.h"

enum { SLICES = 32, MOST = 12 };  // of pictures, whose sums are added in their order; registers of sums
INLINE long least(long a, long b) { return a < b ? a : b; }

// c (rows × panels registers, rows `next` apart) = start (rows `after` apart) + A · B over `pieces` times `length` lines.
// A's rows are `row` apart and its lines `line`, or `piece` from one piece's first to the next one's; B's lines are `step`.
INLINE void block(const int rows, const int panels, long pieces, long length, const real *a, long row, long line,
                  long piece, const real *b, long step, const real *start, long after, real *c, long next) {
  vec acc[MOST][2];
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int v = 0; v < panels; v++) acc[r][v] = *(const loose *)(start + r * after + v * LANES);
  for (long p = 0; p < pieces; p++, a += piece) {
    const real *from[(MOST + 2) / 3];  // of each third row, for a processor adds one or two rows to an address by itself
    UNROLL for (int r = 0; r < rows; r += 3) from[r / 3] = a + r * row;
    for (long i = 0; i < length; i++, b += step) {
      vec x[2];
      UNROLL for (int v = 0; v < panels; v++) x[v] = *(const loose *)(b + v * LANES);
      UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < panels; v++) acc[r][v] = fused(all(from[r / 3][r % 3 * row]), x[v], acc[r][v]);
      UNROLL for (int r = 0; r < rows; r += 3) from[r / 3] += line;
    }
  }
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int v = 0; v < panels; v++) *(loose *)(c + r * next + v * LANES) = acc[r][v];
}

#define ARGUMENTS                                                                                                  \
  long pieces, long length, const real *a, long row, long line, long piece, const real *b, long step,              \
      const real *start, long after, real *c, long next
#define CASE(r, v) \
  case r * 4 + v: block(r, v, pieces, length, a, row, line, piece, b, step, start, after, c, next); break;
#define BOTH(r) CASE(r, 1) CASE(r, 2)
static void some(int rows, int panels, ARGUMENTS) {
  switch (rows * 4 + panels) {
    BOTH(1) BOTH(2) BOTH(3) BOTH(4) BOTH(5) BOTH(6)
    CASE(7, 1) CASE(8, 1) CASE(9, 1) CASE(10, 1) CASE(11, 1) CASE(12, 1)
  }
}

// m rows, as evenly as registers allow, from the first to the last
static void rows(long m, int panels, ARGUMENTS) {
  long most = MOST / panels, blocks = (m + most - 1) / most;
  for (long n = 0; n < blocks; n++) {
    long top = m * n / blocks;
    some(m * (n + 1) / blocks - top, panels, pieces, length, a + top * row, row, line, piece, b, step,
         start + top * after, after, c + top * next, next);
  }
}

// (height, width, channels) with `padding` zeros around
static void framed(long height, long width, long channels, long padding, const real *x, real *to) {
  long line = (width + 2 * padding) * channels;
  memset(to, 0, (height + 2 * padding) * line * sizeof *to);
  for (long y = 0; y < height; y++)
    memcpy(to + (y + padding) * line + padding * channels, x + y * width * channels, width * channels * sizeof *to);
}

// A register more than there are numbers: where channels do not fill one it reaches over into the next pixel
static real *room_for(long numbers) { return aligned_alloc(64, ((numbers + LANES) * sizeof(real) + 63) / 64 * 64); }

// y = w ∗ x + bias; u: w as (size · size · inputs, panels registers of outputs), bias as long as these registers
void forward(long pictures, long height, long width, long inputs, long outputs, long size, long stride, long padding,
             const real *x, const real *u, const real *bias, real *y, int threads) {
  long tall = height + 2 * padding, broad = width + 2 * padding;
  long high = (tall - size) / stride + 1, wide = (broad - size) / stride + 1;
  long panels = (outputs + LANES - 1) / LANES, across = panels * LANES;
#pragma omp parallel num_threads(threads)
  {
    real *in = room_for(tall * broad * inputs), *line = room_for(wide * across);
#pragma omp for
    for (long b = 0; b < pictures; b++) {
      framed(height, width, inputs, padding, x + b * height * width * inputs, in);
      for (long i = 0; i < high; i++) {  // what reaches over is written anew by the next pixel, but for the last line's
        real *own = y + (b * high + i) * wide * outputs, *out = i < high - 1 && wide * outputs >= LANES ? own : line;
        rows(wide, panels, size, size * inputs, in + i * stride * broad * inputs, stride * inputs, 1, broad * inputs, u,
             across, bias, 0, out, outputs);
        if (out == line) memcpy(own, line, wide * outputs * sizeof *own);
      }
    }
    free(in), free(line);
  }
}

// dy → du (size · size · inputs + 1, panels registers), the filters' gradient and in the last row the bias's; room: SLICES
// times as much. Lanes beyond the outputs are of no meaning.
void gradient(long pictures, long height, long width, long inputs, long outputs, long size, long stride, long padding,
              const real *x, const real *dy, real *du, real *room, int threads) {
  long tall = height + 2 * padding, broad = width + 2 * padding;
  long high = (tall - size) / stride + 1, wide = (broad - size) / stride + 1;
  long panels = (outputs + LANES - 1) / LANES, across = panels * LANES, taps = size * size * inputs, whole = (taps + 1) * across;
  const real one = 1;
  memset(room, 0, SLICES * whole * sizeof *room);
#pragma omp parallel num_threads(threads)
  {
    real *in = room_for(tall * broad * inputs), *last = room_for(high * wide * outputs + LANES);
#pragma omp for
    for (long s = 0; s < SLICES; s++)
      for (long b = pictures * s / SLICES; b < pictures * (s + 1) / SLICES; b++) {
        const real *d = dy + b * high * wide * outputs;
        framed(height, width, inputs, padding, x + b * height * width * inputs, in);
        if (b == pictures - 1) d = memcpy(last, d, high * wide * outputs * sizeof *d);
        for (long k = 0; k < size; k++) {
          real *sums = room + s * whole + k * size * inputs * across;
          rows(size * inputs, panels, high, wide, in + k * broad * inputs, 1, stride * inputs, stride * broad * inputs, d,
               outputs, sums, across, sums, across);
        }
        real *sum = room + s * whole + taps * across;
        rows(1, panels, high, wide, &one, 0, 0, 0, d, outputs, sum, across, sum, across);
      }
    free(in), free(last);
  }
  memcpy(du, room, whole * sizeof *du);
  for (long s = 1; s < SLICES; s++)
    for (long n = 0; n < whole; n++) du[n] += room[s * whole + n];
}
