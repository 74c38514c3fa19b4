//! The router as a whole, in simulated time, over a simulated network: one file for each behaviour. Nothing else of the
//! server is needed, so nothing else is compiled.

extern crate millrace_core as millrace;

use millrace_sim as sim;

mod allocation;
mod bandwidth_steps;
mod bounded;
mod browser_model;
mod consent;
mod crowded_start;
mod dependency_descriptor;
mod even_sizes;
mod flight_recorder;
mod hand_over;
mod header_extensions;
mod ice_restart;
mod keyframe_economy;
mod large_room;
mod layer_follows_tile;
mod limits;
mod loss_recovery;
mod measured;
mod mute;
mod nack_rtx;
mod no_index_twice;
mod operations;
mod pacing;
mod redundant_audio;
mod resting_layers;
mod spatial_layers;
mod survives_loss;
mod switch_is_continuous;
mod tcp;
mod temporal_layers;
mod two_shards;
