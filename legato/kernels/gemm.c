// Matrix products at the speed of the machine: C += A · B, with B packed once and used many times.
//
// A panel of B holds LANES columns: for every row (BF16: for every pair of rows) a register. The kernel keeps a block
// of 6 rows × 4 panels of C in 24 registers (6 × 2 in 12 on AVX, which has 16) and streams A and the panels past it.
// Every number of C is added up in the order of the inner dimension, whatever the size of the batch: the bits of a row do
// not depend on its neighbours.
#include "lanes.h"

enum { ROWS = 6, PANELS = WIDTH == 32 ? 2 : 4 };
enum { DEPTH = 256, STRIP = 48 };  // DEPTH lines of the panels stay in L1, STRIP rows of A in L2

#if defined(BF16) && defined(__AVX512BF16__)
typedef __m512i line;
INLINE line fetch(const store *p) { return _mm512_loadu_si512(p); }
INLINE line spread(const store *a) { int32_t x; memcpy(&x, a, 4); return _mm512_set1_epi32(x); }
INLINE vec madd(vec c, line a, line b) { return (vec)_mm512_dpbf16_ps((__m512)c, (__m512bh)a, (__m512bh)b); }
#elif defined(BF16)
typedef words line;
INLINE line fetch(const store *p) { line x; memcpy(&x, p, WIDTH); return x; }
INLINE line spread(const store *a) { uint32_t x; memcpy(&x, a, 4); return (line){0} + x; }
INLINE vec madd(vec c, line a, line b) {
  return fused((vec)(a & 0xffff0000), (vec)(b & 0xffff0000), fused((vec)(a << 16), (vec)(b << 16), c));
}
#else
typedef vec line;
INLINE line fetch(const store *p) { return *(const loose *)p; }
INLINE line spread(const store *a) { return all(*a); }
INLINE vec madd(vec c, line a, line b) { return fused(a, b, c); }
#endif

// along: A as a strip, line after line of `lda` rows; else row after row
INLINE void block(const int rows, const int panels, const int along, int fresh, long k, const store *a, long lda,
                  const store *p, long panel, real *c, long ldc) {
  vec acc[ROWS][PANELS];
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int v = 0; v < panels; v++) acc[r][v] = fresh ? all(0) : (vec) * (const loose *)(c + r * ldc + v * LANES);
  for (long i = 0; i < k; i++) {
    line b[PANELS];
    UNROLL for (int v = 0; v < panels; v++) b[v] = fetch(p + v * panel + i * LANES * STEP);
    UNROLL for (int r = 0; r < rows; r++) {
      line x = spread(a + (along ? (i * lda + r) * STEP : r * lda + i * STEP));
      UNROLL for (int v = 0; v < panels; v++) acc[r][v] = madd(acc[r][v], x, b[v]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++)
    UNROLL for (int v = 0; v < panels; v++) *(loose *)(c + r * ldc + v * LANES) = acc[r][v];
}

int width(void) { return WIDTH; }

#define ARGUMENTS int fresh, long k, const store *a, long lda, const store *p, long panel, real *c, long ldc
#define PASS fresh, k, a, lda, p, panel, c, ldc
#define CASE(r, v, along) case r * 8 + v: block(r, v, along, PASS); break;
#define ROW(r, along) CASE(r, 1, along) CASE(r, 2, along) CASE(r, 3, along) CASE(r, 4, along)
#define SIZES(along) ROW(1, along) ROW(2, along) ROW(3, along) ROW(4, along) ROW(5, along) ROW(6, along)
static void across(int size, ARGUMENTS) { switch (size) { SIZES(0) } }
static void down(int size, ARGUMENTS) { switch (size) { SIZES(1) } }

INLINE long lines(long k) { return (k + STEP - 1) / STEP; }
INLINE long least(long a, long b) { return a < b ? a : b; }

static void multiply(int along, long m, long panels, long k, const store *a, long lda, const store *p, real *c, long ldc,
                     int fresh) {
  long deep = lines(k), panel = deep * LANES * STEP, blocks = (m + ROWS - 1) / ROWS;
  for (long v = 0; v < panels; v += PANELS)
    for (long i = 0; i < deep; i += DEPTH)
      for (long b = 0; b < blocks; b++) {
        long top = m * b / blocks, rows = m * (b + 1) / blocks - top;
        (along ? down : across)(rows * 8 + least(PANELS, panels - v), fresh && !i, least(DEPTH, deep - i),
                                a + STEP * (along ? i * lda + top : i) + (along ? 0 : top * lda), lda,
                                p + v * panel + i * LANES * STEP, panel, c + top * ldc + v * LANES, ldc);
      }
}

// C (m × panels·LANES) += A (m × k) · P on one thread; fresh: C = A · P
void gemm(long m, long panels, long k, const store *a, long lda, const store *p, real *c, long ldc, int fresh) {
  multiply(0, m, panels, k, a, lda, p, c, ldc, fresh);
}

// B (k × n; element i, j at b[i·row + j·col]) into panels, `every` apart; rows and columns that are not there are 0
#define PACK(NAME, TYPE, CONVERT)                                                                         \
  void NAME(long k, long n, const TYPE *b, long row, long col, store *out, long every, int threads) {     \
    long deep = lines(k), panels = (n + LANES - 1) / LANES;                                               \
    _Pragma("omp parallel for num_threads(threads)") for (long v = 0; v < panels; v++) {                  \
      store *p = out + v * every * deep * LANES * STEP;                                                   \
      const TYPE *q = b + v * LANES * col;                                                                \
      long w = least(LANES, n - v * LANES);                                                               \
      if (w < LANES || k % STEP) memset(p, 0, deep * LANES * STEP * sizeof(store));                       \
      if (col == 1 && w == LANES)                                                                         \
        for (long i = 0; i < k; i++)                                                                      \
          for (long l = 0; l < LANES; l++) p[(i / STEP * LANES + l) * STEP + i % STEP] = CONVERT(q[i * row + l]); \
      else                                                                                                \
        for (long l = 0; l < w; l++)                                                                      \
          for (long i = 0; i < k; i++) p[(i / STEP * LANES + l) * STEP + i % STEP] = CONVERT(q[i * row + l * col]); \
    }                                                                                                     \
  }
PACK(pack_real, real, narrow)
#define SAME(x) (x)
PACK(pack_store, store, SAME)

// STRIP columns of A (k × m), line by line, so that down() finds a line's rows side by side
static void strip(long k, long width, const store *a, long lda, store *out) {
  if (width < STRIP || k % STEP) memset(out, 0, lines(k) * STRIP * STEP * sizeof(store));
  for (long i = 0; i < k; i++) {
    store *o = out + i / STEP * STRIP * STEP + i % STEP;
    for (long r = 0; r < width; r++) o[r * STEP] = a[i * lda + r];
  }
}

// C = A · P + bias (transposed: Aᵀ · P), or C += with `add`; C is stored as `store` (narrow_c) or `real`. All threads.
void product(long m, long n, long k, const store *a, long lda, int transposed, const store *p, const real *bias, void *c,
             long ldc, int narrow_c, int add, int threads) {
  long panels = (n + LANES - 1) / LANES, panel = lines(k) * LANES * STEP;
#pragma omp parallel num_threads(threads)
  {
    real tile[STRIP * PANELS * LANES] __attribute__((aligned(64)));
    store *packed = transposed ? aligned_alloc(64, (lines(k) * STRIP * STEP * sizeof(store) + 63) / 64 * 64) : NULL;
#pragma omp for schedule(dynamic)
    for (long top = 0; top < m; top += STRIP) {
      long rows = least(STRIP, m - top);
      if (transposed) strip(k, rows, a + top, lda, packed);
      for (long v = 0; v < panels; v += PANELS) {
        long here = least(PANELS, panels - v);
        multiply(transposed, rows, here, k, transposed ? packed : a + top * lda, transposed ? STRIP : lda, p + v * panel,
                 tile, PANELS * LANES, 1);
        for (long r = 0; r < rows; r++)
          for (long q = 0; q < here; q++) {
            long j = (v + q) * LANES, w = least(LANES, n - j), at = (top + r) * ldc + j;
            vec x = load(tile + (r * PANELS + q) * LANES, LANES);
            if (bias) x += load(bias + j, w);
            if (narrow_c) save_store((store *)c + at, w, x);
            else save((real *)c + at, w, add ? x + load((real *)c + at, w) : x);
          }
      }
    }
    free(packed);
  }
}
