// Transposes a beat from element-major to plane-major: wires only.
// m[q * LANES + i] = s[i * PLANES + q]
`default_nettype none
module bnn_planes #(
    parameter LANES = 2,  // elements of a beat
    parameter PLANES = 8  // bits of an element
) (
    input wire [LANES*PLANES-1:0] s_data,
    output wire [LANES*PLANES-1:0] m_data
);
  genvar i, q;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : g_lane
      for (q = 0; q < PLANES; q = q + 1) begin : g_plane
        assign m_data[q*LANES+i] = s_data[i*PLANES+q];
      end
    end
  endgenerate
endmodule
`default_nettype wire
