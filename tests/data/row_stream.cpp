#include "data/row_stream.h"

#include <algorithm>
#include <numeric>

#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

using Rows = std::vector<std::size_t>;

TEST_CASE("file order goes around, and ends where it is told to") {
  RowStream stream(3, false, 0);
  CHECK(stream.next(2) == Rows{0, 1});
  CHECK(stream.next(5) == Rows{2, 0, 1, 2, 0});
  CHECK(stream.position() == 7);
  CHECK(stream.epoch() == 2);
  RowStream two_epochs(3, false, 0, 6);
  CHECK(two_epochs.next(4).size() == 4);
  CHECK(two_epochs.next(4) == Rows{1, 2});
  CHECK(two_epochs.next(4).empty());
  CHECK_THROWS_AS(two_epochs.seek(7), UsageError);
  CHECK_THROWS_AS(RowStream(0, true, 0), UsageError);
}

TEST_CASE("each epoch is a permutation of its own, of seed and epoch alone") {
  // Fixed for good: a checkpoint made on one machine goes on in the same order on another.
  CHECK(epoch_order(8, 0, 0) == Rows{7, 0, 1, 4, 6, 2, 3, 5});
  CHECK(epoch_order(8, 7, 3) == Rows{6, 2, 0, 4, 1, 3, 5, 7});
  RowStream stream(100, true, 5);
  Rows first = stream.next(100), second = stream.next(100);
  CHECK(first != second);
  CHECK(first == epoch_order(100, 5, 0));
  CHECK(second == epoch_order(100, 5, 1));
  CHECK(RowStream(100, true, 6).next(100) != first);
  Rows sorted = first, all(100);
  std::sort(sorted.begin(), sorted.end());
  std::iota(all.begin(), all.end(), std::size_t{0});
  CHECK(sorted == all);
}

TEST_CASE("a stream goes on from its position") {
  RowStream whole(10, true, 3), parts(10, true, 3);
  Rows expected = whole.next(35);
  parts.seek(17);
  CHECK(parts.next(18) == Rows(expected.begin() + 17, expected.end()));
}

TEST_CASE("every row comes to every place equally often") {
  std::vector<int> counts(16);
  for (std::uint64_t epoch = 0; epoch < 4000; ++epoch) {
    Rows order = epoch_order(4, 1, epoch);
    for (std::size_t place = 0; place < 4; ++place) ++counts[order[place] * 4 + place];
  }
  for (int count : counts) CHECK(std::abs(count - 1000) < 120);  // four standard deviations
}
