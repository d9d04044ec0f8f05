// What follows a convolution, in one pass over memory instead of three: normalise, add, rectify; rectify and take maxima.
// Maps lie channels last: a row is a pixel, (b · h · w) rows of `channels` numbers. Sums over rows are made a slice at a
// time, and the slices added in their order: no bit depends on the number of threads.
#include "lanes.h"

enum { SLICES = 32, RUN = 64 };  // of rows; rows that are added up in `real` before `double` takes over
#define EVERY_CHANNEL _Pragma("omp simd") for (long c = 0; c < channels; c++)
#define EVERY_SLICE \
  _Pragma("omp parallel for num_threads(threads)") for (long s = 0; s < SLICES; s++)
// the same from the last to the first: what was read last is still in the cache
#define EVERY_SLICE_BACK \
  _Pragma("omp parallel for num_threads(threads)") for (long s = SLICES - 1; s >= 0; s--)
#define ROWS_OF(s) for (long r = rows * s / SLICES, end = rows * (s + 1) / SLICES; r < end; r++)

// a, b (SLICES, channels) → their sums over the slices, in the first row
static void gather(long channels, double *a, double *b) {
  for (long s = 1; s < SLICES; s++)
    for (long c = 0; c < channels; c++) a[c] += a[s * channels + c], b[c] += b[s * channels + c];
}

// the `real` sums p, q of some rows are added to the doubles a, b and begin anew
INLINE void carry(long channels, real *restrict p, real *restrict q, double *restrict a, double *restrict b) {
  EVERY_CHANNEL a[c] += p[c], b[c] += q[c], p[c] = q[c] = 0;
}

// y = γ (x − μ) / σ + β (+ other), rectified or not. μ and 1/σ are answered too, and σ² without bias.
// Deviations are taken from the first row, so that a large mean does not swallow a small variance.
void norm_forward(long rows, long channels, const store *restrict x, const store *restrict other, const real *gamma,
                  const real *beta, int rectify, double eps, store *restrict y, real *mean, real *inverse,
                  real *variance, double *room, int threads) {
  const real least = rectify ? 0 : -INFINITY;
  double *sums = room, *squares = room + SLICES * channels;
  memset(room, 0, 2 * SLICES * channels * sizeof *room);
  EVERY_SLICE {
    real p[channels], q[channels], from[channels];
    EVERY_CHANNEL p[c] = q[c] = 0, from[c] = widen(x[c]);
    ROWS_OF(s) {
      const store *in = x + r * channels;
      EVERY_CHANNEL { real d = widen(in[c]) - from[c]; p[c] += d, q[c] += d * d; }
      if (r % RUN == 0 || r == end - 1) carry(channels, p, q, sums + s * channels, squares + s * channels);
    }
  }
  gather(channels, sums, squares);
  for (long c = 0; c < channels; c++) {
    double d = sums[c] / rows, v = fmax(squares[c] / rows - d * d, 0);
    mean[c] = widen(x[c]) + d, inverse[c] = 1 / sqrt(v + eps), variance[c] = v * rows / (rows > 1 ? rows - 1 : 1);
  }
  EVERY_SLICE_BACK {
    real scale[channels], shift[channels];
    EVERY_CHANNEL scale[c] = gamma[c] * inverse[c], shift[c] = beta[c] - mean[c] * scale[c];
    ROWS_OF(s) {
      const store *in = x + r * channels, *more = other ? other + r * channels : NULL;
      store *out = y + r * channels;
      if (more) EVERY_CHANNEL {
        real v = widen(in[c]) * scale[c] + shift[c] + widen(more[c]);
        out[c] = narrow(v < least ? least : v);
      } else EVERY_CHANNEL {
        real v = widen(in[c]) * scale[c] + shift[c];
        out[c] = narrow(v < least ? least : v);
      }
    }
  }
}

// dy → dx, dγ, dβ, and the gradient of `other` if it is asked for. With d = dy where y > 0, x̂ = (x − μ) / σ:
// dβ = Σ d, dγ = Σ d x̂, dx = γ / σ (d − dβ / n − x̂ dγ / n). Without y, what was rectified is computed again: a third of
// what is read.
void norm_backward(long rows, long channels, const store *restrict x, const store *restrict y, const store *restrict dy,
                   const real *gamma, const real *beta, const real *mean, const real *inverse, int rectify,
                   store *restrict dx, store *restrict dother, real *dgamma, real *dbeta, double *room, int threads) {
  const real least = rectify ? 0 : -INFINITY;
  double *sums = room, *products = room + SLICES * channels;
  memset(room, 0, 2 * SLICES * channels * sizeof *room);
  EVERY_SLICE {
    real p[channels], q[channels], scale[channels], shift[channels];
    EVERY_CHANNEL {
      p[c] = q[c] = 0, scale[c] = gamma[c] * inverse[c], shift[c] = beta[c] - mean[c] * scale[c];
    }
    ROWS_OF(s) {
      const store *in = x + r * channels, *out = y ? y + r * channels : NULL, *d = dy + r * channels;
      if (out) EVERY_CHANNEL {
        real g = widen(out[c]) > 0 ? widen(d[c]) : 0;
        p[c] += g, q[c] += g * (widen(in[c]) - mean[c]);
      } else EVERY_CHANNEL {
        real v = widen(in[c]), g = v * scale[c] + shift[c] <= least ? 0 : widen(d[c]);
        p[c] += g, q[c] += g * (v - mean[c]);
      }
      if (r % RUN == 0 || r == end - 1) carry(channels, p, q, sums + s * channels, products + s * channels);
    }
  }
  gather(channels, sums, products);
  for (long c = 0; c < channels; c++) dbeta[c] = sums[c], dgamma[c] = products[c] * inverse[c];
  EVERY_SLICE_BACK {
    real scale[channels], shift[channels], slope[channels], level[channels];
    EVERY_CHANNEL {
      scale[c] = gamma[c] * inverse[c], shift[c] = beta[c] - mean[c] * scale[c];
      slope[c] = -scale[c] * inverse[c] * dgamma[c] / rows;
      level[c] = -scale[c] * dbeta[c] / rows - slope[c] * mean[c];
    }
    ROWS_OF(s) {
      const store *in = x + r * channels, *out = y ? y + r * channels : NULL, *d = dy + r * channels;
      store *to = dx + r * channels, *more = dother ? dother + r * channels : NULL;
      if (out && more) EVERY_CHANNEL {
        real g = widen(out[c]) > 0 ? widen(d[c]) : 0;
        more[c] = narrow(g), to[c] = narrow(g * scale[c] + widen(in[c]) * slope[c] + level[c]);
      } else if (out) EVERY_CHANNEL {
        real g = widen(out[c]) > 0 ? widen(d[c]) : 0;
        to[c] = narrow(g * scale[c] + widen(in[c]) * slope[c] + level[c]);
      } else EVERY_CHANNEL {
        real v = widen(in[c]), g = v * scale[c] + shift[c] <= least ? 0 : widen(d[c]);
        to[c] = narrow(g * scale[c] + v * slope[c] + level[c]);
      }
    }
  }
}

// Maxima over windows, of equals the first, and which of a window's places it was; CUT where the rectifier cuts it off.
// What is no number stays none.
enum { CUT = 128, WINDOW = 121 };  // at most 11 × 11 places

typedef struct {
  int count;
  uint8_t name[WINDOW];  // of the places inside the picture, in their order
  long at[WINDOW];       // where each is, in numbers from the window's own first place
} inside;

static inside places(long top, long left, long height, long width, long channels, int size) {
  inside found;
  found.count = 0;
  for (int k = 0; k < size * size; k++) {
    long row = top + k / size, column = left + k % size;
    if (row < 0 || row >= height || column < 0 || column >= width) continue;
    found.name[found.count] = k, found.at[found.count++] = (k / size * width + k % size) * channels;
  }
  return found;
}

typedef uint8_t bytes __attribute__((vector_size(LANES), aligned(1), may_alias));

// One window. Registers reach over into the next pixel where channels do not fill them, never beyond `end`; so does what
// is written, which the next pixel then writes again.
INLINE void largest(const int count, const inside *window, long channels, const store *first, const store *end,
                    real least, store *out, uint8_t *place) {
  for (long c = 0; c < channels; c += LANES) {
    vec best = all(least);
    vbits at = (vbits){0} + (window->name[0] | CUT);
    UNROLL for (int k = 0; k < count; k++) {
      const store *in = first + window->at[k] + c;
      vec v = load_store(in, end - in);
      vbits more = (v > best) | (v != v);
      best = pick(more, v, best), at = (more & window->name[k]) | (~more & at);
    }
    save_store(out + c, LANES, best);
    *(bytes *)(place + c) = __builtin_convertvector(at, bytes);
  }
}

void pool_forward(long pictures, long height, long width, long channels, const store *restrict x, int size, int stride,
                  int padding, int rectify, long high, long wide, store *restrict y, uint8_t *restrict place,
                  int threads) {
  const store *end = x + pictures * height * width * channels;
  const real least = rectify ? 0 : -INFINITY;
  const inside whole = places(0, 0, height, width, channels, size);  // if the picture has room for one
#pragma omp parallel num_threads(threads)
  {
    long numbers = wide * channels, room = (numbers + LANES) * sizeof(store);
    store *line = aligned_alloc(64, (room + 63) / 64 * 64);
    uint8_t *names = malloc(numbers + LANES);
#pragma omp for
    for (long n = 0; n < pictures * high; n++) {
      for (long j = 0; j < wide; j++) {
        long top = n % high * stride - padding, left = j * stride - padding;
        const store *first = x + ((n / high * height + top) * width + left) * channels;
        store *out = line + j * channels;
        uint8_t *name = names + j * channels;
        if (top < 0 || left < 0 || top + size > height || left + size > width) {
          inside some = places(top, left, height, width, channels, size);
          largest(some.count, &some, channels, first, end, least, out, name);
        } else if (size == 2) largest(4, &whole, channels, first, end, least, out, name);
        else if (size == 3) largest(9, &whole, channels, first, end, least, out, name);
        else largest(size * size, &whole, channels, first, end, least, out, name);
      }
      memcpy(y + n * numbers, line, numbers * sizeof *y);
      memcpy(place + n * numbers, names, numbers);
    }
    free(line), free(names);
  }
}

// Windows that lie side by side: each number of dx belongs to one, and is what came back if it was the largest, else 0.
// Registers reach over into the next pixel, which is then written; `place` has a register of bytes to spare.
static void pool_backward_apart(long pictures, long height, long width, long channels, const store *restrict dy,
                                const uint8_t *restrict place, int size, long high, long wide, store *restrict dx,
                                int threads) {
  const store *end = dy + pictures * high * wide * channels;
#pragma omp parallel num_threads(threads)
  {
    long numbers = width * channels;
    store *line = aligned_alloc(64, ((numbers + LANES) * sizeof(store) + 63) / 64 * 64);
#pragma omp for
    for (long r = 0; r < pictures * height; r++) {
      long b = r / height, i = r % height / size, first = r % height % size * size;
      store *row = dx + r * numbers;
      if (i >= high) {
        memset(row, 0, numbers * sizeof *row);
        continue;
      }
      for (long j = 0; j < wide; j++) {
        const store *d = dy + ((b * high + i) * wide + j) * channels;
        const uint8_t *at = place + (d - dy);
        for (int k = 0; k < size; k++)
          for (long c = 0; c < channels; c += LANES) {
            vbits here = __builtin_convertvector(*(const bytes *)(at + c), vbits) == (vbits){0} + (whole)(first + k);
            save_store(line + (j * size + k) * channels + c, LANES, pick(here, load_store(d + c, end - d - c), all(0)));
          }
      }
      memset(line + wide * size * channels, 0, (width - wide * size) * channels * sizeof *line);  // no window's
      memcpy(row, line, numbers * sizeof *row);
    }
    free(line);
  }
}

void pool_backward(long pictures, long height, long width, long channels, const store *restrict dy,
                   const uint8_t *restrict place, int size, int stride, int padding, long high, long wide,
                   store *restrict dx, int threads) {
  if (stride == size && !padding && high * size <= height && wide * size <= width) {
    pool_backward_apart(pictures, height, width, channels, dy, place, size, high, wide, dx, threads);
    return;
  }
  long from[WINDOW];  // the window's first place, which may lie outside
  for (int k = 0; k < size * size; k++) from[k] = (k / size * width + k % size) * channels;
#pragma omp parallel for num_threads(threads)
  for (long b = 0; b < pictures; b++) {
    store *picture = dx + b * height * width * channels;
    memset(picture, 0, height * width * channels * sizeof *picture);
    for (long n = 0; n < high * wide; n++) {
      store *first = picture + ((n / wide * stride - padding) * width + n % wide * stride - padding) * channels;
      const store *d = dy + (b * high * wide + n) * channels;
      const uint8_t *at = place + (b * high * wide + n) * channels;
      for (long c = 0; c < channels; c++) {
        store *to = first + from[at[c] & (CUT - 1)] + c;
        *to = narrow(widen(*to) + (at[c] & CUT ? 0 : widen(d[c])));
      }
    }
  }
}
