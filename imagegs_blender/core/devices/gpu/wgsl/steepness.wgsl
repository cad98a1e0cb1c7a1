// 1 / (2 s^2) of a free scale.
fn steepness(scale: f32) -> f32 {
    let s = select(exp(scale), 1.0 / scale, frame.inverse_scale != 0u);
    return 0.5 / (s * s);
}
