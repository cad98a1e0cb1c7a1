// Image-GS: decodes a texture stack into images, every plane at every texel centre, as a compute shader.
// The tables are described in core/tables.py, levels in core/lod.py. preview.py defines PLANES, SHEETS, TEXELS,
// CANDIDATES, TOPK, FIRST, LAST, CUTOFF, EPS. `picture` holds bands of `rows` rows, four planes each, one below the other;
// behind the planes, the share of the value that comes from Gaussians.

#define BANDS (PLANES / 4 + 1)

float planes[4 * BANDS];

vec4 gaussian(float index, int texel)
{
  int per_row = textureSize(gaussians, 0).x / TEXELS;
  int place = int(index);
  return texelFetch(gaussians, ivec2(place % per_row * TEXELS + texel, place / per_row), 0);
}

// The sum over the Gaussians, into planes[], clamped to 0..1 and weighted; Tables.slot says where a plane is
void add_gaussians(vec2 point, float weight)
{
  vec2 grid = vec2(textureSize(blocks, 0));
  vec2 place = point * grid;
  vec4 block = texelFetch(blocks, ivec2(min(place, grid - 1.0)), 0);
  ivec2 leaf = ivec2(block.xy + floor(fract(place) * block.zw));
  vec2 xy = (point - 0.5) * vec2(stack_size);
  vec3 position = vec3(xy, xy.x + xy.y);

  float index[CANDIDATES], p[CANDIDATES], left[CANDIDATES];
  for (int i = 0; i < CANDIDATES; i += 4) {
    vec4 four = texelFetch(cells, ivec2(leaf.x * (CANDIDATES / 4) + i / 4, leaf.y), 0);
    for (int j = 0; j < 4; j++) {
      index[i + j] = four[j];
    }
  }
  for (int i = 0; i < CANDIDATES; i++) {
    vec4 mean = gaussian(index[i], 0);
    vec3 d = position - mean.xyz;
    p[i] = left[i] = dot(gaussian(index[i], 1).xyz, d * d) + mean.w;
  }

  float limit = -CUTOFF;
  float largest = 0.0;
  for (int k = 0; k < TOPK; k++) {
    int best = 0;
    for (int i = 1; i < CANDIDATES; i++) {
      best = left[i] > left[best] ? i : best;
    }
    largest = left[best];
    left[best] = -1e30;
  }
  if (TOPK > 0) {
    limit = max(limit, largest);
  }

  float sum[4 * BANDS];
  for (int plane = 0; plane < PLANES; plane++) {
    sum[plane] = 0.0;
  }
  float total = EPS;
  for (int i = 0; i < CANDIDATES; i++) {
    if (p[i] >= limit) {
      float w = exp(p[i]);
      total += w;
      for (int t = 1; t < TEXELS; t++) {
        vec4 texel = gaussian(index[i], t);
        for (int c = 0; c < 3 && t > 1; c++) {
          sum[3 * (t - 2) + c] += w * texel[c];
        }
        int rest = 3 * (TEXELS - 2) + t - 1;
        if (rest < PLANES) {
          sum[rest] += w * texel.w;
        }
      }
    }
  }
  for (int plane = 0; plane < PLANES; plane++) {
    planes[plane] += weight * clamp(TOPK > 0 ? sum[plane] / total : sum[plane], 0.0, 1.0);
  }
  planes[PLANES] = 1.0 - EPS / total;
}

// One level that has texels, into planes[], weighted: four texels, blended; lod.slot says where a plane is
void add_level(int level, vec2 point, float weight)
{
  vec4 box = texelFetch(levels, ivec2(level, 0), 0);
  vec2 place = point * box.zw - 0.5;
  ivec2 corner = ivec2(floor(place) + box.xy);
  vec2 part = fract(place);
  int rows_of_sheet = textureSize(texels, 0).y / SHEETS;
  int colors = (PLANES + 2) / 4;
  for (int sheet = 0; sheet < SHEETS; sheet++) {
    ivec2 at = corner + ivec2(0, sheet * rows_of_sheet);
    vec4 upper = mix(texelFetch(texels, at, 0), texelFetch(texels, at + ivec2(1, 0), 0), part.x);
    vec4 lower = mix(texelFetch(texels, at + ivec2(0, 1), 0), texelFetch(texels, at + ivec2(1, 1), 0), part.x);
    vec4 texel = mix(upper, lower, part.y) * weight;
    for (int c = 0; c < 3; c++) {
      if (3 * sheet + c < PLANES && (sheet < colors || c == 0)) {
        planes[sheet < colors ? 3 * sheet + c : PLANES - 1] += texel[c];
      }
    }
    if (3 * colors + sheet < PLANES && sheet < colors) {
      planes[3 * colors + sheet] += texel.w;
    }
  }
}

void main()
{
  ivec2 pixel = ivec2(gl_GlobalInvocationID.xy);
  if (pixel.x >= size.x || pixel.y >= min(rows, size.y - top)) {
    return;
  }
  vec2 point = (vec2(pixel.x, pixel.y + top) + 0.5) / vec2(size);
  for (int plane = 0; plane < 4 * BANDS; plane++) {
    planes[plane] = 0.0;
  }
  if (share < 1.0) {
    add_gaussians(point, 1.0 - share);
  }
  if (share > 0.0) {
    float index = clamp(level, float(FIRST), float(LAST)) - float(FIRST);
    int low = int(index);
    float part = index - float(low);
    add_level(low, point, share * (1.0 - part));
    if (part > 0.0) {
      add_level(low + 1, point, share * part);
    }
  }
  for (int band = 0; band < BANDS; band++) {
    vec4 four = vec4(planes[4 * band], planes[4 * band + 1], planes[4 * band + 2], planes[4 * band + 3]);
    imageStore(picture, ivec2(pixel.x, pixel.y + band * rows), four);
  }
}
