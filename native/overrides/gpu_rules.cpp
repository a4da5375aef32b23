#include "overrides/gpu_rules.h"

namespace sdpy {

namespace {
thread_local GpuRules rules_now;
}  // namespace

const GpuRules &GpuRules::now() { return rules_now; }
GpuRules::Scope::Scope(const GpuRules &rules) { rules_now = rules; }
GpuRules::Scope::~Scope() { rules_now = {}; }

}  // namespace sdpy
