// Convolutions of 3 × 3 at stride 1 with a quarter of the multiplications: Winograd's minimal filtering F(4 × 4, 3 × 3),
// Lavin & Gray 2015, arXiv:1509.09308. A tile d of 6 × 6 pixels and a filter g give 4 × 4 pixels Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A;
// summed over input channels, ⊙ is a matrix product (tiles × inputs) · (inputs × outputs) for each of the 36 places.
//
// Maps lie channels last. Tiles are made, multiplied and undone a chunk at a time, which stays in the cache: `chunk` rows
// of tiles. No bit depends on the number of threads: each place of a product belongs to one thread, chunks follow in order.
#include "block.h"

enum { SIDE = 6, TILE = 4, TAPS = 3, PLACES = SIDE * SIDE, APART = 64 / sizeof(real) };
#define EACH(i, n) _Pragma("omp for schedule(static)") for (long i = 0; i < n; i++)
#define EACH_PLACE _Pragma("omp for schedule(dynamic)") for (long at = 0; at < PLACES; at++)

// One dimension of each transform: `n` numbers `s` apart → `m` numbers `s` apart
INLINE void input(const vec *d, vec *t, int s) {  // Bᵀ d
  vec a = d[4 * s] - 4 * d[2 * s], b = d[3 * s] - 4 * d[s], c = d[4 * s] - d[2 * s], e = 2 * (d[3 * s] - d[s]);
  t[0] = 4 * d[0] - 5 * d[2 * s] + d[4 * s], t[5 * s] = 4 * d[s] - 5 * d[3 * s] + d[5 * s];
  t[s] = a + b, t[2 * s] = a - b, t[3 * s] = c + e, t[4 * s] = c - e;
}
INLINE void output(const vec *m, vec *y, int s) {  // Aᵀ m
  vec p = m[s] + m[2 * s], q = m[s] - m[2 * s], u = m[3 * s] + m[4 * s], v = m[3 * s] - m[4 * s];
  y[0] = m[0] + p + u, y[s] = q + 2 * v, y[2 * s] = p + 4 * u, y[3 * s] = q + 8 * v + m[5 * s];
}
INLINE void back_output(const vec *y, vec *m, int s) {  // A y
  vec e = y[0] + y[2 * s], o = y[s] + y[3 * s], f = y[0] + 4 * y[2 * s], g = 2 * y[s] + 8 * y[3 * s];
  m[0] = y[0], m[5 * s] = y[3 * s];
  m[s] = e + o, m[2 * s] = e - o, m[3 * s] = f + g, m[4 * s] = f - g;
}
INLINE void back_input(const vec *t, vec *d, int s) {  // B t
  vec o = t[0], p = t[s] + t[2 * s], q = t[2 * s] - t[s], u = t[3 * s] + t[4 * s], v = t[4 * s] - t[3 * s];
  d[0] = 4 * o, d[s] = 4 * (q + t[5 * s]) + 2 * v, d[2 * s] = -5 * o - 4 * p - u;
  d[3 * s] = -q - 2 * v - 5 * t[5 * s], d[4 * s] = o + p + u;  // the last is the last
}
INLINE void filter(const vec *g, vec *u, int s) {  // G g
  vec e = (g[0] + g[2 * s]) * (real)(-1 / 6.), o = g[s] * (real)(-1 / 6.);
  vec f = g[0] * (real)(1 / 24.) + g[2 * s] * (real)(1 / 6.), h = g[s] * (real)(1 / 12.);
  u[0] = g[0] * (real)0.25, u[5 * s] = g[2 * s];
  u[s] = e + o, u[2 * s] = e - o, u[3 * s] = f + h, u[4 * s] = f - h;
}
INLINE void back_filter(const vec *u, vec *g, int s) {  // Gᵀ u
  vec p = u[s] + u[2 * s], q = u[s] - u[2 * s], v = u[3 * s] + u[4 * s], w = u[3 * s] - u[4 * s];
  g[0] = u[0] * (real)0.25 - p * (real)(1 / 6.) + v * (real)(1 / 24.);
  g[s] = w * (real)(1 / 12.) - q * (real)(1 / 6.), g[2 * s] = (v - p) * (real)(1 / 6.) + u[5 * s];
}

// Both dimensions: x (n × n), rows SIDE apart, → rows of f(x), then its columns, in place
#define BOTH(f, x, columns, lines)                               \
  UNROLL for (int j_ = 0; j_ < columns; j_++) f(x + j_, x + j_, SIDE); \
  UNROLL for (int i_ = 0; i_ < lines; i_++) f(x + i_ * SIDE, x + i_ * SIDE, 1)

// Where tile (row r of tiles, tile t) lies: `tall` rows of tiles a picture, the first `padding` pixels outside
typedef struct {
  long height, width, channels, tall, padding;
} maps;

// rows and columns of a tile's first pixel, and how many of its pixels [from, to) lie inside the picture
typedef struct {
  long picture, top, left;
  int up, down, west, east;
} tile;

INLINE tile place(maps of, long r, long t, int size) {
  tile at = {r / of.tall, r % of.tall * TILE - of.padding, t * TILE - of.padding};
  at.up = at.top < 0 ? -at.top : 0, at.down = least(size, of.height - at.top);
  at.west = at.left < 0 ? -at.left : 0, at.east = least(size, of.width - at.left);
  return at;
}
INLINE real *pixel(real *x, maps of, tile at, int i, int j) {
  return x + ((at.picture * of.height + at.top + i) * of.width + at.left + j) * of.channels;
}

// size × size pixels of a map, what lies outside 0, into rows SIDE apart
INLINE void get(const int size, const real *x, maps of, tile at, long c, vec *d) {
  if (!at.up && !at.west && at.down == size && at.east == size) {
    const real *first = pixel((real *)x, of, at, 0, 0) + c;
    UNROLL for (int i = 0; i < size; i++)
      UNROLL for (int j = 0; j < size; j++)
        d[i * SIDE + j] = *(const loose *)(first + (i * of.width + j) * of.channels);
    return;
  }
  for (int i = 0; i < size; i++)
    for (int j = 0; j < size; j++) {
      int there = i >= at.up && i < at.down && j >= at.west && j < at.east;
      d[i * SIDE + j] = there ? (vec) * (const loose *)(pixel((real *)x, of, at, i, j) + c) : all(0);
    }
}

// Transforms of one tile, all channels. A chunk of transformed tiles: `every` numbers for a place; in it tile t begins at
// t · tile, and channel c (a multiple of LANES) lies at c · across.
static void put_input(const real *x, maps of, long r, long t, real *to, long every, long across) {
  tile at = place(of, r, t, SIDE);
  for (long c = 0; c < of.channels; c += LANES) {
    vec d[PLACES];
    get(SIDE, x, of, at, c, d);
    BOTH(input, d, SIDE, SIDE);
    UNROLL for (int k = 0; k < PLACES; k++) *(loose *)(to + k * every + c * across) = d[k];
  }
}
static void put_gradient(const real *dy, maps of, long r, long t, real *to, long every) {
  tile at = place(of, r, t, TILE);
  for (long c = 0; c < of.channels; c += LANES) {
    vec d[PLACES];
    get(TILE, dy, of, at, c, d);
    BOTH(back_output, d, TILE, SIDE);
    UNROLL for (int k = 0; k < PLACES; k++) *(loose *)(to + k * every + c) = d[k];
  }
}
static void get_output(const real *from, long every, const real *bias, real *y, maps of, long r, long t) {
  tile at = place(of, r, t, TILE);
  for (long c = 0; c < of.channels; c += LANES) {
    vec d[PLACES], b = bias ? (vec) * (const loose *)(bias + c) : all(0);
    UNROLL for (int k = 0; k < PLACES; k++) d[k] = *(const loose *)(from + k * every + c);
    BOTH(output, d, SIDE, TILE);
    for (int i = 0; i < at.down; i++)
      for (int j = 0; j < at.east; j++) *(loose *)(pixel(y, of, at, i, j) + c) = d[i * SIDE + j] + b;
  }
}
static void add_gradient(const real *from, long every, real *dx, maps of, long r, long t) {
  tile at = place(of, r, t, SIDE);
  for (long c = 0; c < of.channels; c += LANES) {
    vec d[PLACES];
    UNROLL for (int k = 0; k < PLACES; k++) d[k] = *(const loose *)(from + k * every + c);
    BOTH(back_input, d, SIDE, SIDE);
    for (int i = at.up; i < at.down; i++)
      for (int j = at.west; j < at.east; j++) *(loose *)(pixel(dx, of, at, i, j) + c) += d[i * SIDE + j];
  }
}

// Numbers between two places of a chunk of n tiles, or of k × n filters: not a power of two, whose lines would all lie in
// one set of a cache
static long apart(long tiles, long line) { return tiles * line + APART; }

// Filters w (outputs, 3, 3, inputs) → G w Gᵀ, as multiply() takes them: for dy · wᵀ (36, panels of inputs, outputs, LANES);
// forward, for x · w, (36, panels of outputs, inputs, LANES): a square of LANES × LANES filters at a time, turned about.
void filters(long outputs, long inputs, const real *w, int forward, real *to, int threads) {
  const long every = apart(outputs, inputs);
#pragma omp parallel for num_threads(threads)
  for (long o = 0; o < outputs; o += LANES)
    for (long i = 0; i < inputs; i += LANES) {
      vec u[LANES][PLACES];
      for (int l = 0; l < LANES; l++) {
        for (int p = 0; p < TAPS * TAPS; p++)
          u[l][p / TAPS * SIDE + p % TAPS] = *(const loose *)(w + ((o + l) * TAPS * TAPS + p) * inputs + i);
        BOTH(filter, u[l], TAPS, SIDE);
      }
      real *square = to + (forward ? (o * inputs + i * LANES) : (i * outputs + o * LANES));
      for (int p = 0; p < PLACES; p++, square += every)
        for (int r = 0; r < LANES; r++) {
          vec line = u[r][p];
          if (forward) UNROLL for (int l = 0; l < LANES; l++) line[l] = u[l][p][r];
          *(loose *)(square + r * LANES) = line;
        }
    }
}

// y = w ∗ x + bias. Rows of tiles: `tall` a picture, each of `broad` tiles. u: filters(…, forward).
// room: 36 · (apart(chunk · broad, inputs) + apart(chunk · broad, outputs))
void forward(long pictures, long height, long width, long inputs, long outputs, long padding, const real *x, const real *u,
             const real *bias, real *y, real *room, long chunk, int threads) {
  long high = height + 2 * padding - TAPS + 1, wide = width + 2 * padding - TAPS + 1;
  long tall = (high + TILE - 1) / TILE, broad = (wide + TILE - 1) / TILE, rows = pictures * tall;
  long every = apart(chunk * broad, inputs), each = apart(chunk * broad, outputs);
  maps in = {height, width, inputs, tall, padding}, out = {high, wide, outputs, tall, 0};
  real *v = room, *m = room + PLACES * every;
#pragma omp parallel num_threads(threads)
  for (long first = 0; first < rows; first += chunk) {
    long here = least(chunk, rows - first);
    long tiles = least(chunk, rows - first) * broad;
    EACH(n, tiles) put_input(x, in, first + n / broad, n % broad, v + n * inputs, every, 1);
    EACH_PLACE multiply(0, tiles, outputs / LANES, inputs, v + at * every, inputs, u + at * apart(inputs, outputs), m + at * each,
                        outputs, 1);
    EACH(n, tiles) get_output(m + n * outputs, each, bias, y, out, first + n / broad, n % broad);
  }
}

// dy → dx if it is asked for (u: its filters) and dw (outputs, 3, 3, inputs) if that is.
// Lines of dy's tiles are APART longer than they need be; room: 36 · (apart(tiles, outputs + APART) + 2 apart(tiles, inputs))
// with tiles = chunk · broad, and 36 · apart(outputs, inputs).
void backward(long pictures, long height, long width, long inputs, long outputs, long padding, const real *x,
              const real *dy, const real *u, real *dx, real *dw, real *room, long chunk, int threads) {
  long high = height + 2 * padding - TAPS + 1, wide = width + 2 * padding - TAPS + 1;
  long tall = (high + TILE - 1) / TILE, broad = (wide + TILE - 1) / TILE, rows = pictures * tall, line = outputs + APART;
  long every = apart(chunk * broad, inputs), each = apart(chunk * broad, line);
  maps in = {height, width, inputs, tall, padding}, out = {high, wide, outputs, tall, 0};
  real *m = room, *v = m + PLACES * each, *d = v + PLACES * every, *du = d + PLACES * every;
#pragma omp parallel num_threads(threads)
  {
    if (dx) EACH(b, pictures) memset(dx + b * height * width * inputs, 0, height * width * inputs * sizeof *dx);
    for (long first = 0; first < rows; first += chunk) {
      long tiles = least(chunk, rows - first) * broad;
      EACH(n, tiles) {
        put_gradient(dy, out, first + n / broad, n % broad, m + n * line, each);
        if (dw) put_input(x, in, first + n / broad, n % broad, v + n * LANES, every, tiles);
      }
      EACH_PLACE {
        const long panels = inputs / LANES, size = apart(outputs, inputs);
        if (dx) multiply(0, tiles, panels, outputs, m + at * each, line, u + at * size, d + at * every, inputs, 1);
        if (dw) multiply(1, outputs, panels, tiles, m + at * each, line, v + at * every, du + at * size, inputs, !first);
      }
      if (dx) for (int colour = 0; colour < 4; colour++) EACH(n, tiles) {  // neighbouring tiles share pixels
        long r = first + n / broad, t = n % broad;
        if (r % 2 * 2 + t % 2 == colour) add_gradient(d + n * inputs, every, dx, in, r, t);
      }
    }
    if (dw) EACH(r, outputs) for (long c = 0; c < inputs; c += LANES) {
      vec g[PLACES];
      for (int k = 0; k < PLACES; k++) g[k] = *(const loose *)(du + k * apart(outputs, inputs) + r * inputs + c);
      BOTH(back_filter, g, SIDE, TAPS);
      for (int k = 0; k < TAPS * TAPS; k++)
        *(loose *)(dw + (r * TAPS * TAPS + k) * inputs + c) = g[k / TAPS * SIDE + k % TAPS];
    }
  }
}
