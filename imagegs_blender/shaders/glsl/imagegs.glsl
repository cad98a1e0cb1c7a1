// Image-GS: decodes a texture stack into images, every plane at every texel center, as a compute shader.
// The tables are described in core/decoding/tables.py, levels in core/decoding/lod.py. compute.py defines all that is
// in capitals. `picture` holds bands of `rows` rows, four planes each, one below the other.

#define BANDS ((PLANES + 3) / 4)

float planes[4 * BANDS];

ivec2 place(int row)
{
  int per_row = textureSize(means, 0).x;
  return ivec2(row % per_row, row / per_row);
}

ivec2 place(ivec2 bytes)
{
  ivec2 sides = textureSize(means, 0);
  return min(bytes * sides / 255, sides - 1);
}

// Which channel is in a channel (lane) of one of so many sheets: core/decoding/sheets.py, the other way round
int channel_at(int sheet, int lane, int sheets)
{
  return lane < 3 ? 3 * sheet + lane : 3 * sheets + sheet;
}

// The sum over the Gaussians, into planes[], clamped to 0..1 and weighted. Returns how much what is around counts instead
float add_gaussians(vec2 point, float weight)
{
  vec2 grid = vec2(textureSize(blocks, 0));
  vec2 spot = point * grid;
  vec4 block = texelFetch(blocks, ivec2(min(spot, grid - 1.0)), 0);
  vec2 part = floor(fract(spot) * block.zw);
  int leaf = int(block.x + part.y * block.z + part.x) * (CANDIDATES / PER_TEXEL);
  vec2 xy = (point - 0.5) * vec2(stack_size);
  vec3 position = vec3(xy, xy.x + xy.y);

  ivec2 at[CANDIDATES];
  float p[CANDIDATES], left[CANDIDATES];
  for (int i = 0; i < CANDIDATES; i += PER_TEXEL) {
    ivec4 bytes = ivec4(texelFetch(cells, ivec2(leaf + i / PER_TEXEL, int(block.y)), 0) * 255.0 + 0.5);
#if PER_TEXEL == 2
    at[i] = place(bytes.xy);
    at[i + 1] = place(bytes.zw);
#else
    at[i] = place(65536 * bytes.x + 256 * bytes.y + bytes.z);
#endif
  }
  for (int i = 0; i < CANDIDATES; i++) {
    vec4 mean = texelFetch(means, at[i], 0);
    vec3 d = position - mean.xyz;
    p[i] = left[i] = dot(texelFetch(conics, at[i], 0).xyz, d * d) + mean.w;
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

  float sum[CHANNELS];
  for (int channel = 0; channel < CHANNELS; channel++) {
    sum[channel] = 0.0;
  }
  float total = 0.0;
  for (int i = 0; i < CANDIDATES; i++) {
    if (p[i] >= limit) {
      float w = exp(p[i]);
      total += w;
      for (int sheet = 0; sheet < FEATURES; sheet++) {
        vec4 texel = texelFetch(features, at[i] + ivec2(0, sheet * textureSize(means, 0).y), 0);
        for (int lane = 0; lane < 4; lane++) {
          int channel = channel_at(sheet, lane, FEATURES);
          if (channel < CHANNELS) {
            sum[channel] += w * texel[lane];
          }
        }
      }
    }
  }
  float scale = TOPK > 0 ? 1.0 / (total + EPS) : 1.0;
  for (int plane = 0; plane < PLANES; plane++) {
    vec4 range = texelFetch(ranges, ivec2(plane, 0), 0);  // low, span, its first channel, 1 where it has two
    float unit = sum[int(range.z)];
    if (range.w > 0.5) {
      unit = (unit * HIGH_BYTE + sum[int(range.z) + 1] * LOW_BYTE) / TWO_BYTES;
    }
    planes[plane] += weight * clamp((range.x * total + range.y * unit) * scale, 0.0, 1.0);
  }
  return HOLES * max(0.0, 1.0 - total / (total + EPS) / COVERED);
}

// One level that has texels, into planes[], weighted: four texels, blended
void add_level(int level, vec2 point, float weight)
{
  vec4 box = texelFetch(levels, ivec2(level, 0), 0);
  vec2 place = point * box.zw - 0.5;
  ivec2 corner = ivec2(floor(place) + box.xy);
  vec2 part = fract(place);
  int rows_of_sheet = textureSize(texels, 0).y / SHEETS;
  for (int sheet = 0; sheet < SHEETS; sheet++) {
    ivec2 at = corner + ivec2(0, sheet * rows_of_sheet);
    vec4 upper = mix(texelFetch(texels, at, 0), texelFetch(texels, at + ivec2(1, 0), 0), part.x);
    vec4 lower = mix(texelFetch(texels, at + ivec2(0, 1), 0), texelFetch(texels, at + ivec2(1, 1), 0), part.x);
    vec4 texel = mix(upper, lower, part.y) * weight;
    for (int lane = 0; lane < 4; lane++) {
      int plane = channel_at(sheet, lane, SHEETS);
      if (plane < PLANES) {
        planes[plane] += texel[lane];
      }
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
  float coarse = share;
  if (share < 1.0) {
    coarse += (1.0 - share) * add_gaussians(point, 1.0 - share);
  }
  if (coarse > 0.0) {
    float index = clamp(level, float(FIRST), float(LAST)) - float(FIRST);
    int low = int(index);
    float part = index - float(low);
    add_level(low, point, coarse * (1.0 - part));
    if (part > 0.0) {
      add_level(low + 1, point, coarse * part);
    }
  }
  for (int band = 0; band < BANDS; band++) {
    vec4 four = vec4(planes[4 * band], planes[4 * band + 1], planes[4 * band + 2], planes[4 * band + 3]);
    imageStore(picture, ivec2(pixel.x, pixel.y + band * rows), four);
  }
}
