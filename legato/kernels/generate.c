// Sampling, letter by letter: each layer's compiled step, the head, a draw; and again, all in one call.
// A letter's way into the lowest layer is a row of a table; each layer above finds x where the one below has put h.
#include "lanes.h"

typedef void step_t(const long *n, void *const *p);
typedef void gemm_t(long, long, long, const store *, long, const store *, real *, long, int);
enum { REVERSE = 4 };  // of a step's numbers: which of its two places a state is read from, and which it is written to

typedef struct {
  step_t *step;
  long *numbers;
  void **pointers;
  long x_store, x_real;  // which of its pointers are x, or -1
  store *h_store;        // (2, b, h): before and after, by turns
  real *h_real;
} layer;

static long draw(const real *logits, long count, real temperature, real uniform) {
  long best = 0;
  for (long v = 1; v < count; v++) best = logits[v] > logits[best] ? v : best;
  if (temperature == 0) return best;
  double total = 0, sum = 0;
  for (long v = 0; v < count; v++) total += exp((logits[v] - logits[best]) / temperature);
  for (long v = 0; v < count; v++) {
    sum += exp((logits[v] - logits[best]) / temperature);
    if (sum > uniform * total) return v;
  }
  return best;
}

// ids (b): the letters that go in first, and at the end those that would go in next. told (prompt, b): what follows them,
// whatever is drawn. out (count, b). turn: which place the states lie in; returned, as it is at the end.
long generate(long count, long prompt, long b, long h, long v, long depth, layer *layers, gemm_t *gemm, const store *head,
              const real *bias, real *logits, int64_t *ids, const int64_t *told, const real *uniforms,
              const real *temperature, int64_t *out, long turn, int threads) {
  long panels = (v + LANES - 1) / LANES, panel = (h + STEP - 1) / STEP * STEP * LANES;
  for (long t = 0; t < prompt + count; t++, turn ^= 1) {
    long after = (turn ^ 1) * b * h;
    for (long l = 0; l < depth; l++) {
      layer *a = layers + l;
      if (l && a->x_store >= 0) a->pointers[a->x_store] = a[-1].h_store + after;
      if (l && a->x_real >= 0) a->pointers[a->x_real] = a[-1].h_real + after;
      a->numbers[REVERSE] = turn;
      a->step(a->numbers, a->pointers);
    }
    if (t < prompt) {
      memcpy(ids, told + t * b, b * sizeof *ids);
      continue;
    }
    const store *top = layers[depth - 1].h_store + after;
#pragma omp parallel for num_threads(threads) if (v * b >= 4096)
    for (long q = 0; q < panels; q += 4) {
      long here = panels - q < 4 ? panels - q : 4;
      for (long r = 0; r < b; r++) memcpy(logits + (r * panels + q) * LANES, bias + q * LANES, here * LANES * sizeof(real));
      gemm(b, here, h, top, h, head + q * panel, logits + q * LANES, panels * LANES, 0);
    }
#pragma omp parallel for num_threads(threads) if (v * b >= 4096)
    for (long r = 0; r < b; r++)
      out[(t - prompt) * b + r] = ids[r] =
          draw(logits + r * panels * LANES, v, *temperature, uniforms[(t - prompt) * b + r]);
  }
  return turn;
}
