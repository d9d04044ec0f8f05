// C += A · B on one thread, with B packed: a panel of B holds LANES columns, for every row (BF16: for every pair of rows)
// a register. A block of 6 rows × 4 panels of C stays in 24 registers (6 × 2 in 12 on AVX, which has 16), and A and the
// panels stream past it. Every number of C is added up in the order of the inner dimension, whatever the number of rows.
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
