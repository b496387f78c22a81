#include "app/demo/report.h"

#include <fmt/format.h>

#include <algorithm>

namespace loragrad {
namespace {

/// The end of a prompt, from the start of a word on.
std::string ending(const std::string& prompt) {
  constexpr std::size_t width = 84;
  if (prompt.size() <= width) return prompt;
  return "..." + prompt.substr(prompt.find(' ', prompt.size() - width));
}

std::string sample_text(const DemoSample& sample) {
  return fmt::format("  {} ___\n    base {:<28}  LoRA ({}) {}\n", ending(sample.prompt), "\"" + sample.base + "\"",
                     sample.task, "\"" + sample.adapted + "\"");
}

}  // namespace

std::string percent(double share, int digits) { return fmt::format("{:.{}f}%", 100 * share, digits); }

std::string DemoReport::text() const {
  std::string text = base + "\n\nWhat the models add to prompts that no training row has:\n";
  for (const DemoSample& sample : samples) text += sample_text(sample);
  std::size_t claim_width = 0, measured_width = 0;
  for (const DemoClaim& claim : claims) {
    claim_width = std::max(claim_width, claim.claim.size());
    measured_width = std::max(measured_width, claim.measured.size());
  }
  auto row = [&](const std::string& claim, const std::string& measured, const std::string& holds) {
    text += fmt::format("{:<{}}  {:<{}}  {}\n", claim, claim_width, measured, measured_width, holds);
  };
  text += "\n";
  row("claim", "measured here", "holds");
  row(std::string(claim_width, '-'), std::string(measured_width, '-'), "-----");
  for (const DemoClaim& claim : claims) row(claim.claim, claim.measured, claim.holds ? "yes" : "NO");
  auto held = std::count_if(claims.begin(), claims.end(), [](const DemoClaim& claim) { return claim.holds; });
  return text + fmt::format("\n{} of {} claims hold here ({:.0f} s)\n", held, claims.size(), seconds);
}

Json DemoReport::json() const {
  Json::Array sample_list, claim_list;
  for (const DemoSample& s : samples)
    sample_list.push_back(
        Json::Object{{"task", s.task}, {"prompt", s.prompt}, {"base", s.base}, {"adapted", s.adapted}});
  for (const DemoClaim& c : claims)
    claim_list.push_back(Json::Object{
        {"id", c.id}, {"claim", c.claim}, {"measured", c.measured}, {"holds", c.holds}, {"values", c.values}});
  return Json::Object{{"setting", setting}, {"samples", sample_list}, {"claims", claim_list}, {"seconds", seconds}};
}

}  // namespace loragrad
