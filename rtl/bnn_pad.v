// Vectors of one beat in more lanes or fewer, of wider elements or not: wires only.
// Lanes beyond a vector's end become zeros; elements that get wider keep their sign. Plane-major.
`default_nettype none
module bnn_pad #(
    parameter PLANES = 1,  // planes
    parameter S_ELEM_W = 1,  // bits of an element in one plane, before
    parameter M_ELEM_W = 1,  // and behind, not fewer
    parameter N_IN = 3,  // lanes of an input beat
    parameter N_OUT = 2,  // lanes of an output beat
    parameter N_USED = 2  // elements of a vector, at most N_IN and N_OUT
) (
    input wire [PLANES*N_IN*S_ELEM_W-1:0] s_data,
    input wire s_valid,
    output wire s_ready,
    output wire [PLANES*N_OUT*M_ELEM_W-1:0] m_data,
    output wire m_valid,
    input wire m_ready
);
  assign m_valid = s_valid;
  assign s_ready = m_ready;
  genvar q, i;
  generate
    for (q = 0; q < PLANES; q = q + 1) begin : g_plane
      for (i = 0; i < N_OUT; i = i + 1) begin : g_lane
        if (i >= N_USED) begin : g_zero
          assign m_data[(q*N_OUT+i)*M_ELEM_W+:M_ELEM_W] = {M_ELEM_W{1'b0}};
        end else if (M_ELEM_W == S_ELEM_W) begin : g_same
          assign m_data[(q*N_OUT+i)*M_ELEM_W+:M_ELEM_W] = s_data[(q*N_IN+i)*S_ELEM_W+:S_ELEM_W];
        end else begin : g_wider
          wire [S_ELEM_W-1:0] element = s_data[(q*N_IN+i)*S_ELEM_W+:S_ELEM_W];
          assign m_data[(q*N_OUT+i)*M_ELEM_W+:M_ELEM_W] = {{(M_ELEM_W - S_ELEM_W) {element[S_ELEM_W-1]}}, element};
        end
      end
    end
    if (N_IN > N_USED) begin : g_unused
      wire unused = &{1'b0, s_data};
    end
  endgenerate
endmodule
`default_nettype wire
