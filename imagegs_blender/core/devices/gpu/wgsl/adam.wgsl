// Adam (Kingma & Ba 2015) on the free numbers of splats.wgsl, with a count of steps for each splat and group; then every number is kept
// in range. A thread takes the geometry of a splat, or a quad of its features.
@group(1) @binding(0) var<storage, read_write> value: array<vec4f>;
@group(1) @binding(1) var<storage, read_write> first: array<vec4f>;
@group(1) @binding(2) var<storage, read_write> second: array<vec4f>;
@group(1) @binding(3) var<storage, read_write> steps: array<u32>; // GROUPS for each splat: mean, scale, rotation, bias, feature
@group(1) @binding(4) var<storage, read> splats: array<vec4f>;
@group(1) @binding(5) var<storage, read> sums: array<vec4f>;
@group(1) @binding(6) var<storage, read> reports: array<vec4f>;

// 1 - beta^n by repeated squaring: more exact than exp2(n log2(beta)) on any GPU.
fn correction(beta: f32, n: u32) -> f32 {
    var power = 1.0;
    var square = beta;
    for (var left = n; left > 0u; left >>= 1u) {
        if ((left & 1u) != 0u) { power *= square; }
        square *= square;
    }
    return 1.0 - power;
}

// value[at] moved; rates of 0 keep their number.
fn moved(at: u32, gradient: vec4f, rates: vec4f, count: vec4u) -> vec4f {
    let now = value[at];
    let m = BETA1 * first[at] + (1.0 - BETA1) * gradient;
    let v = BETA2 * second[at] + (1.0 - BETA2) * gradient * gradient;
    let free = rates > vec4f(0.0);
    first[at] = select(first[at], m, free);
    second[at] = select(second[at], v, free);
    var mean = vec4f(0.0);
    var deviation = vec4f(1.0);
    for (var k = 0u; k < 4u; k++) {
        mean[k] = m[k] / correction(BETA1, max(count[k], 1u));
        deviation[k] = sqrt(v[k] / correction(BETA2, max(count[k], 1u))) + TINY;
    }
    return select(now, now - rates * mean / deviation, free);
}

// The gradient of the free numbers of the geometry from that of the splat: both quads.
struct Geometry { place: vec4f, shape: vec4f }

fn chain(i: u32) -> Geometry {
    let at = i * ROW;
    let s = splat_of(splats[at], splats[at + 1u]);
    let place = sums[at];
    let by = sums[at + 1u];
    let scale = value[at].zw;
    let rotation = value[at + 1u].x;
    let u = steepness(scale.x);
    let v = steepness(scale.y);
    let cosine = cos(rotation);
    let sine = sin(rotation);
    let by_u = by.x * cosine * cosine + 2.0 * by.y * cosine * sine + by.z * sine * sine;
    let by_v = by.x * sine * sine - 2.0 * by.y * cosine * sine + by.z * cosine * cosine;
    let by_x = -(2.0 * s.a * place.y + s.b * place.z);
    let by_y = -(s.b * place.y + 2.0 * s.c * place.z);
    // u = 1 / (2 s^2): du / d(1/s) = 1/s, du / d(log s) = -2 u
    let inverse = frame.inverse_scale != 0u;
    let by_scale = vec2f(select(-2.0 * u, scale.x, inverse) * by_u, select(-2.0 * v, scale.y, inverse) * by_v);
    let by_rotation = 2.0 * (u - v) * ((by.z - by.x) * cosine * sine + by.y * (cosine * cosine - sine * sine));
    return Geometry(vec4f(by_x, by_y, by_scale), vec4f(by_rotation, place.x, 0.0, 0.0));
}

// Coordinates of a mean, kept on the texture.
fn on_texture(mean: vec2f) -> vec2f {
    let size = vec2f(f32(frame.width), f32(frame.height));
    var kept = mean;
    if (frame.wrap != 0u) { kept -= size * floor(kept / size); }
    return clamp(kept, vec2f(0.0), size);
}

// One more step for a group that moves; how many it has taken.
fn counted(at: u32, rate: f32) -> u32 {
    if (rate > 0.0) { steps[at]++; }
    return steps[at];
}

@compute @workgroup_size(ROW_THREADS)
fn adam(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
    let number = group_number(group) * ROW_THREADS + thread;
    if (number >= frame.splats || bitcast<u32>(reports[frame.slot].w) > frame.capacity) { return; }
    let at = number * ROW;
    let gradient = chain(number);
    let mean = counted(number * GROUPS, frame.rate_mean);
    let scale = counted(number * GROUPS + 1u, frame.rate_scale);
    let rotation = counted(number * GROUPS + 2u, frame.rate_rotation);
    let bias = counted(number * GROUPS + 3u, frame.rate_bias);
    let feature = counted(number * GROUPS + 4u, frame.rate_feature);
    let place_rates = vec4f(frame.rate_mean, frame.rate_mean, frame.rate_scale, frame.rate_scale);
    var place = moved(at, gradient.place, place_rates, vec4u(mean, mean, scale, scale));
    if (frame.rate_mean > 0.0) { place = vec4f(on_texture(place.xy), place.zw); }
    value[at] = vec4f(place.xy, clamp(place.zw, vec2f(frame.lowest_scale), vec2f(frame.highest_scale)));
    let shape = moved(at + 1u, gradient.shape, vec4f(frame.rate_rotation, frame.rate_bias, 0.0, 0.0), vec4u(rotation, bias, 0u, 0u));
    value[at + 1u] = vec4f(shape.x, clamp(shape.y, -frame.most_bias, frame.most_bias), 0.0, 0.0);
    for (var k = 2u; k < ROW; k++) {
        value[at + k] = moved(at + k, sums[at + k], vec4f(frame.rate_feature), vec4u(feature));
    }
}
