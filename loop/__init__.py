"""beamloop's decision side: decides what to measure next, runs the campaign, keeps its journal."""
