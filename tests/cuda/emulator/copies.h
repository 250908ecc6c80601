// Asynchronous copies from global to shared memory: what a thread has begun and not yet waited for.
#pragma once

namespace emulator {

// A block begins: nothing is under way. `at_once`: its copies are made when they are begun, else when
// they are waited for; hardware may do either.
void reset_copies(bool at_once);
// A thread ends: fails if it has not waited for all.
void check_copies_are_done();

}  // namespace emulator
