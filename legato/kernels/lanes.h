// Numbers, a register at once. `real` is what is computed with, `store` what lies in memory, `vec` WIDTH bytes of reals:
// what the machine's registers hold, for a compiler keeps anything wider in memory (on AVX2 20 × slower).
// GCC's and Clang's vector extensions, so that one source serves AVX-512, AVX2 and NEON. Compile with -DF64, -DF32, -DBF16.
#include <math.h>
#include <omp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX__
#include <immintrin.h>
#endif

#ifdef F64
typedef double real;
typedef int64_t whole;
#else
typedef float real;
typedef int32_t whole;
#endif
#ifdef BF16
typedef uint16_t store;
enum { STEP = 2 };  // numbers of the inner dimension that one multiply-add takes
#else
typedef real store;
enum { STEP = 1 };
#endif
#if defined(__AVX512F__)
enum { WIDTH = 64 };
#elif defined(__AVX__)
enum { WIDTH = 32 };
#else
enum { WIDTH = 16 };
#endif
enum { LANES = WIDTH / sizeof(real) };
typedef real vec __attribute__((vector_size(WIDTH)));
typedef real loose __attribute__((vector_size(WIDTH), aligned(sizeof(real)), may_alias));
typedef whole vbits __attribute__((vector_size(WIDTH)));
#define INLINE static inline __attribute__((always_inline))
#define RARE static __attribute__((noinline))
#define UNROLL _Pragma("GCC unroll 16")
#define BARRIER _Pragma("omp barrier")

INLINE vec all(real x) { return x - (vec){0}; }  // x + 0 would be an addition: −0 + 0 is +0
// a · b + c rounded once, in every loop alike: left to itself GCC fuses it in some loops and not in others
#if defined(__AVX512F__) && defined(F64)
INLINE vec fused(vec a, vec b, vec c) { return (vec)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
#elif defined(__AVX512F__)
INLINE vec fused(vec a, vec b, vec c) { return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
#elif defined(__FMA__) && defined(F64)
INLINE vec fused(vec a, vec b, vec c) { return (vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
#elif defined(__FMA__)
INLINE vec fused(vec a, vec b, vec c) { return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
#else
INLINE vec fused(vec a, vec b, vec c) { return a * b + c; }
#endif
INLINE vec pick(vbits mask, vec a, vec b) { return (vec)((mask & (vbits)a) | (~mask & (vbits)b)); }

// bfloat16 is the upper half of a float, rounded to nearest, ties to even
INLINE real narrow_to_wide(uint16_t x) {
  union { uint32_t bits; float value; } u = {(uint32_t)x << 16};
  return u.value;
}
INLINE uint16_t wide_to_narrow(float x) {
  union { float value; uint32_t bits; } u = {x};
  if (x != x) return 0x7fc0;
  return (uint16_t)((u.bits + 0x7fff + ((u.bits >> 16) & 1)) >> 16);
}
#ifdef BF16
INLINE real widen(store x) { return narrow_to_wide(x); }
INLINE store narrow(real x) { return wide_to_narrow(x); }
#else
INLINE real widen(store x) { return x; }
INLINE store narrow(real x) { return x; }
#endif

// w < LANES at the right edge of a matrix whose width is no multiple of LANES: the lanes beyond are 0, and not written
RARE vec load_some(const real *p, long w) {
  vec x = {0};
  memcpy(&x, p, w * sizeof *p);
  return x;
}
RARE void save_some(real *p, long w, vec x) { memcpy(p, &x, w * sizeof *p); }
INLINE vec load(const real *p, long w) { return w >= LANES ? (vec) * (const loose *)p : load_some(p, w); }
INLINE void save(real *p, long w, vec x) {
  if (w >= LANES) *(loose *)p = x;
  else save_some(p, w, x);
}
#ifdef BF16
typedef uint16_t halves __attribute__((vector_size(WIDTH / 2), aligned(2), may_alias));
typedef uint32_t words __attribute__((vector_size(WIDTH)));
INLINE vec widened(const store *p) { return (vec)(__builtin_convertvector(*(const halves *)p, words) << 16); }
RARE vec load_few(const store *p, long w) {
  store few[LANES] = {0};
  memcpy(few, p, w * sizeof *p);
  return widened(few);
}
RARE void save_few(store *p, long w, vec x) {
  for (long l = 0; l < w; l++) p[l] = narrow(x[l]);
}
INLINE vec load_store(const store *p, long w) { return w >= LANES ? widened(p) : load_few(p, w); }
INLINE void save_store(store *p, long w, vec x) {
  if (w >= LANES) {
#ifdef __AVX512BF16__
    __m256bh y = _mm512_cvtneps_pbh((__m512)x);
    memcpy(p, &y, 32);
#else
    words u = (words)x;
    *(halves *)p = __builtin_convertvector((u + 0x7fff + ((u >> 16) & 1)) >> 16, halves);
#endif
  } else save_few(p, w, x);
}
#else
#define load_store load
#define save_store save
#endif

#define EACH(f) ({ vec y_; for (int l = 0; l < LANES; l++) y_[l] = f(x[l]); y_; })
#ifdef F64
RARE vec vexp(vec x) { return EACH(exp); }
RARE vec vtanh(vec x) { return EACH(tanh); }
#else
// Cephes' expf: x = n ln 2 + r, |r| ≤ ln 2 / 2, eˣ = 2ⁿ p(r); relative error 2e-7
INLINE vec vexp(vec x) {
  x = pick(x > 88.f, all(88.f), pick(x < -87.f, all(-87.f), x));
  vec n = (x * 1.44269504088896341f + 12582912.f) - 12582912.f;  // 1.5 · 2²³: rounds to a whole number
  vec r = x - n * 0.693359375f + n * 2.12194440e-4f;
  vec p = all(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  return p * (vec)((__builtin_convertvector(n, vbits) + 127) << 23);
}
INLINE vec vtanh(vec x) { return 2.f / (1.f + vexp(-2.f * x)) - 1.f; }
#endif
INLINE vec vsigmoid(vec x) { return 1 / (1 + vexp(-x)); }
INLINE vec vrelu(vec x) { return pick(x > 0, x, all(0)); }
INLINE vec vstep(vec x) { return pick(x > 0, all(1), all(0)); }
INLINE vec vsign(vec x) { return vstep(x) - vstep(-x); }
INLINE vec vabs(vec x) { return pick(x < 0, -x, x); }
#ifdef F64
RARE vec vlog(vec x) { return EACH(log); }
RARE vec vsqrt(vec x) { return EACH(sqrt); }
RARE vec vsin(vec x) { return EACH(sin); }
RARE vec vcos(vec x) { return EACH(cos); }
#else
RARE vec vlog(vec x) { return EACH(logf); }
RARE vec vsqrt(vec x) { return EACH(sqrtf); }
RARE vec vsin(vec x) { return EACH(sinf); }
RARE vec vcos(vec x) { return EACH(cosf); }
#endif
INLINE vec vsoftplus(vec x) { return vrelu(x) + vlog(1 + vexp(-vabs(x))); }
