// Matrix products at the speed of the machine: C += A · B, with B packed once and used many times. The bits of a row do
// not depend on its neighbours.
#include "block.h"

int width(void) { return WIDTH; }

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
