/*
 * ONNX Runtime with CUDA in name, for tests: another ONNX Runtime, which KIF_EMULATED_ONNXRUNTIME
 * names, computes on the processor, in the memory of the emulated driver. Whoever uses it goes the
 * way of the CUDA provider: its options, device memory that the host may not touch, one queue,
 * recordings. It refuses what a GPU would get wrong in silence: memory of the host bound to a
 * session of the GPU, and a recording repeated over other memory or by another thread. Products of
 * bfloat16, which no processor's provider has, are computed in float32 and rounded.
 */
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "bfloat16_products.h"
#include "call_log.h"

namespace {

/* Places in OrtApi, whose table only grows at its end. */
enum Place {
  CREATE_STATUS = 0, CREATE_SESSION = 7, CREATE_SESSION_FROM_ARRAY = 8, CREATE_RUN_OPTIONS = 39,
  CREATE_TENSOR = 49, CREATE_MEMORY_INFO = 68, CREATE_CPU_MEMORY_INFO = 69, RELEASE_MEMORY_INFO = 94,
  RELEASE_RUN_OPTIONS = 97, ADD_SESSION_CONFIG_ENTRY = 130, RUN_WITH_BINDING = 133,
  CREATE_BINDING = 134, BIND_INPUT = 136, BIND_OUTPUT = 137, ADD_INITIALIZER = 150, ADD_RUN_CONFIG_ENTRY = 165, APPEND_CUDA = 204,
  CREATE_CUDA_OPTIONS = 205, UPDATE_CUDA_OPTIONS = 206, RELEASE_CUDA_OPTIONS = 208,
  UPDATE_CUDA_OPTION_WITH_VALUE = 263, PLACES = 280
};

using Status = void *;
using Options = std::map<std::string, std::string>;
using Function = void (*)();

struct ApiBase {
  const Function *(*get_api)(uint32_t);
  const char *(*get_version)();
};

const ApiBase *real_base;
const Function *real;
Function table[PLACES];
char *(*host_address)(const char *, size_t);

std::mutex lock;
std::set<const void *> cuda_memories;
std::map<const void *, Options> session_options, sessions, run_options;
std::map<const void *, const char *> device_values;
std::map<const void *, const void *> binding_sessions;
std::map<const void *, std::map<std::string, const char *>> bound;

struct Recording {
  std::map<std::string, const char *> memory;
  std::thread::id thread;
};
std::map<std::pair<const void *, std::string>, Recording> recordings;

template <typename Result = Status, typename... Arguments>
Result call(Place place, Arguments... arguments) {
  return reinterpret_cast<Result (*)(Arguments...)>(real[place])(arguments...);
}

Status refuse(const std::string &why) {
  log_call("refused: %s", why.c_str());
  return call(CREATE_STATUS, 1, why.c_str());
}

Status create_memory_info(const char *name, int allocator, int id, int type, void **out) {
  if (std::strcmp(name, "Cuda") != 0) {
    return call(CREATE_MEMORY_INFO, name, allocator, id, type, out);
  }
  Status status = call(CREATE_CPU_MEMORY_INFO, allocator, type, out);
  std::lock_guard<std::mutex> guard(lock);
  cuda_memories.insert(*out);
  return status;
}

void release_memory_info(void *info) {
  {
    std::lock_guard<std::mutex> guard(lock);
    cuda_memories.erase(info);
  }
  call<void>(RELEASE_MEMORY_INFO, info);
}

Status create_tensor(const void *info, void *data, size_t bytes, const int64_t *shape, size_t rank,
                     int type, void **out) {
  std::lock_guard<std::mutex> guard(lock);
  if (cuda_memories.count(info) == 0) {
    Status status = call(CREATE_TENSOR, info, data, bytes, shape, rank, type, out);
    device_values.erase(*out);
    return status;
  }
  char *host = host_address(static_cast<char *>(data), bytes);
  if (host == nullptr) {
    return refuse("a tensor of the GPU is not in its memory");
  }
  Status status = call(CREATE_TENSOR, info, static_cast<void *>(host), bytes, shape, rank, type, out);
  device_values[*out] = static_cast<char *>(data);
  return status;
}

Status create_cuda_options(void **out) {
  *out = new Options;
  return nullptr;
}

void release_cuda_options(void *options) { delete static_cast<Options *>(options); }

Status update_cuda_options(void *options, const char *const *keys, const char *const *values,
                           size_t count) {
  for (size_t i = 0; i < count; i++) {
    (*static_cast<Options *>(options))[keys[i]] = values[i];
  }
  return nullptr;
}

Status update_cuda_option_with_value(void *options, const char *key, void *value) {
  (*static_cast<Options *>(options))[key] = value == nullptr ? "none" : "given";
  return nullptr;
}

Status append_cuda(void *options, const void *cuda) {
  std::string text;
  for (const auto &[key, value] : *static_cast<const Options *>(cuda)) {
    text += " " + key + "=" + value;
  }
  log_call("provider%s", text.c_str());
  std::lock_guard<std::mutex> guard(lock);
  session_options[options] = *static_cast<const Options *>(cuda);
  return nullptr;
}

Status opened(Status status, const void *options, void **out) {
  std::lock_guard<std::mutex> guard(lock);
  sessions.erase(*out);
  auto found = session_options.find(options);
  if (status == nullptr && found != session_options.end()) {
    sessions[*out] = found->second;
    session_options.erase(found);
  }
  return status;
}

bool of_gpu(const void *options) {
  std::lock_guard<std::mutex> guard(lock);
  return session_options.count(options) > 0;
}

Status configure(void *options, const char *key, const char *value) {
  return call(ADD_SESSION_CONFIG_ENTRY, options, key, value);
}

Status create_session(const void *env, const char *path, void *options, void **out) {
  if (of_gpu(options)) {
    std::ifstream file(path, std::ios::binary);
    std::string model(std::istreambuf_iterator<char>(file), {});
    int products = 0;
    try {
      model = bfloat16_products::in_float32(model, &products);
    } catch (const std::exception &fault) {
      return refuse(std::string(path) + ": " + fault.what());
    }
    if (products > 0) {
      log_call("products of bfloat16 %d", products);
      // The declared place of parameters is looked for beside the file.
      std::string folder = std::string(path).substr(0, std::string(path).rfind('/'));
      Status status = configure(options, "session.model_external_initializers_file_folder_path",
                                folder.c_str());
      if (status == nullptr) {
        // It would look for the parameters there as well.
        status = configure(options, "optimization.disable_specified_optimizers", "ConstantFolding");
      }
      if (status != nullptr) {
        return status;
      }
      status = call(CREATE_SESSION_FROM_ARRAY, env, model.data(), model.size(), options, out);
      return opened(status, options, out);
    }
  }
  return opened(call(CREATE_SESSION, env, path, options, out), options, out);
}

Status create_session_from_array(const void *env, const void *model, size_t bytes,
                                 const void *options, void **out) {
  return opened(call(CREATE_SESSION_FROM_ARRAY, env, model, bytes, options, out), options, out);
}

Status add_initializer(void *options, const char *name, const void *value) {
  {
    std::lock_guard<std::mutex> guard(lock);
    if (session_options.count(options) > 0 && device_values.count(value) == 0) {
      return refuse(std::string("initializer ") + name + " is not in the memory of the GPU");
    }
  }
  return call(ADD_INITIALIZER, options, name, value);
}

Status create_binding(void *session, void **out) {
  Status status = call(CREATE_BINDING, session, out);
  std::lock_guard<std::mutex> guard(lock);
  binding_sessions[*out] = session;
  bound.erase(*out);
  return status;
}

Status bind(Place place, void *binding, const char *name, const void *value) {
  {
    std::lock_guard<std::mutex> guard(lock);
    auto found = device_values.find(value);
    if (sessions.count(binding_sessions[binding]) > 0 && found == device_values.end()) {
      return refuse(std::string(name) + " is bound to memory of the host");
    }
    bound[binding][name] = found == device_values.end() ? nullptr : found->second;
  }
  return call(place, binding, name, value);
}

Status bind_input(void *binding, const char *name, const void *value) {
  return bind(BIND_INPUT, binding, name, value);
}

Status bind_output(void *binding, const char *name, const void *value) {
  return bind(BIND_OUTPUT, binding, name, value);
}

Status create_run_options(void **out) {
  Status status = call(CREATE_RUN_OPTIONS, out);
  std::lock_guard<std::mutex> guard(lock);
  run_options[*out].clear();
  return status;
}

void release_run_options(void *options) {
  {
    std::lock_guard<std::mutex> guard(lock);
    run_options.erase(options);
  }
  call<void>(RELEASE_RUN_OPTIONS, options);
}

Status add_run_config_entry(void *options, const char *key, const char *value) {
  std::lock_guard<std::mutex> guard(lock);
  run_options[options][key] = value;
  return nullptr;
}

Status run_with_binding(void *session, const void *options, const void *binding) {
  {
    std::lock_guard<std::mutex> guard(lock);
    auto found = sessions.find(session);
    if (found != sessions.end()) {
      Options run = options == nullptr ? Options() : run_options[options];
      std::string recording = run.count("gpu_graph_id") > 0 ? run["gpu_graph_id"] : "";
      bool records = found->second["enable_cuda_graph"] == "1";
      if (records != !recording.empty()) {
        return refuse("a run and its session disagree about recording");
      }
      const char *verb = "run";
      if (records) {
        auto known = recordings.find({session, recording});
        if (known == recordings.end()) {
          recordings[{session, recording}] = {bound[binding], std::this_thread::get_id()};
          verb = "record";
        } else if (known->second.memory != bound[binding]) {
          return refuse("recording " + recording + " is repeated over other memory");
        } else if (known->second.thread != std::this_thread::get_id()) {
          return refuse("recording " + recording + " is repeated by another thread");
        } else {
          verb = "repeat";
        }
      }
      bool waits = run["disable_synchronize_execution_providers"] != "1";
      log_call("%s%s", verb, waits ? " and synchronize" : "");
    }
  }
  return call(RUN_WITH_BINDING, session, static_cast<const void *>(nullptr), binding);
}

template <typename F>
void replace(Place place, F function) {
  table[place] = reinterpret_cast<Function>(function);
}

const Function *get_api(uint32_t version) {
  real = real_base->get_api(version);
  if (real == nullptr) {
    return nullptr;
  }
  std::memcpy(table, real, sizeof table);
  replace(CREATE_MEMORY_INFO, create_memory_info);
  replace(RELEASE_MEMORY_INFO, release_memory_info);
  replace(CREATE_TENSOR, create_tensor);
  replace(CREATE_CUDA_OPTIONS, create_cuda_options);
  replace(RELEASE_CUDA_OPTIONS, release_cuda_options);
  replace(UPDATE_CUDA_OPTIONS, update_cuda_options);
  replace(UPDATE_CUDA_OPTION_WITH_VALUE, update_cuda_option_with_value);
  replace(APPEND_CUDA, append_cuda);
  replace(CREATE_SESSION, create_session);
  replace(CREATE_SESSION_FROM_ARRAY, create_session_from_array);
  replace(ADD_INITIALIZER, add_initializer);
  replace(CREATE_BINDING, create_binding);
  replace(BIND_INPUT, bind_input);
  replace(BIND_OUTPUT, bind_output);
  replace(CREATE_RUN_OPTIONS, create_run_options);
  replace(RELEASE_RUN_OPTIONS, release_run_options);
  replace(ADD_RUN_CONFIG_ENTRY, add_run_config_entry);
  replace(RUN_WITH_BINDING, run_with_binding);
  return table;
}

const char *get_version() { return real_base->get_version(); }

template <typename F>
void find(void *library, const char *name, F *&function) {
  function = library == nullptr ? nullptr : reinterpret_cast<F *>(dlsym(library, name));
  if (function == nullptr) {
    std::fprintf(stderr, "emulated ONNX Runtime: no %s: %s\n", name, dlerror());
    std::abort();
  }
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const ApiBase *OrtGetApiBase() {
  static const ApiBase base = {get_api, get_version};
  const char *path = std::getenv("KIF_EMULATED_ONNXRUNTIME");
  const ApiBase *(*real_entry)();
  find(path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL), "OrtGetApiBase", real_entry);
  find(dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL), "emulator_host_address", host_address);
  real_base = real_entry();
  return &base;
}
