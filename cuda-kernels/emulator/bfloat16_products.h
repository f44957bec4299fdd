/*
 * ONNX Runtime multiplies bfloat16 on GPUs only. Here the products of an ONNX model with parameters
 * in bfloat16 become ones that a processor computes: both factors widened to float32, the result
 * rounded to bfloat16. A GPU computes the same, but for the order of its sums.
 */
#ifndef KIF_BFLOAT16_PRODUCTS_H
#define KIF_BFLOAT16_PRODUCTS_H

#include <cstdint>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bfloat16_products {

/* Of TensorProto.DataType. */
enum Type { FLOAT = 1, BFLOAT16 = 16 };

/* A field of a protobuf message; text and messages have bytes, numbers a value. */
struct Field {
  uint64_t number, value;
  std::string_view bytes, whole;
};

inline std::vector<Field> fields(std::string_view message) {
  std::vector<Field> all;
  size_t at = 0;
  auto number = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      uint8_t byte = message.at(at++);
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) {
        return value;
      }
    }
  };
  while (at < message.size()) {
    size_t begin = at;
    uint64_t key = number();
    Field field = {key >> 3, 0, {}, {}};
    switch (key & 7) {
      case 0:
        field.value = number();
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        size_t length = number();
        field.bytes = message.substr(at, length);
        at += length;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        throw std::runtime_error("this is no ONNX model");
    }
    field.whole = message.substr(begin, at - begin);
    all.push_back(field);
  }
  return all;
}

inline std::string varint(uint64_t value) {
  std::string text;
  for (; value >= 128; value >>= 7) {
    text += static_cast<char>((value & 127) | 128);
  }
  return text + static_cast<char>(value);
}

inline std::string number(int field, uint64_t value) {
  return varint(static_cast<uint64_t>(field) << 3) + varint(value);
}

inline std::string bytes(int field, std::string_view content) {
  return varint(static_cast<uint64_t>(field) << 3 | 2) + varint(content.size()) + std::string(content);
}

/* A node of a graph that casts. */
inline std::string cast(const std::string &from, const std::string &to, Type type) {
  std::string attribute = bytes(1, "to") + number(3, type) + number(20, 2);
  return bytes(1, bytes(1, from) + bytes(2, to) + bytes(4, "Cast") + bytes(5, attribute));
}

struct Node {
  std::string type;
  std::vector<std::string> inputs, outputs;
  bool to_bfloat16 = false;

  explicit Node(std::string_view message) {
    for (const Field &field : fields(message)) {
      switch (field.number) {
        case 1:
          inputs.emplace_back(field.bytes);
          break;
        case 2:
          outputs.emplace_back(field.bytes);
          break;
        case 4:
          type = field.bytes;
          break;
        case 5:
          for (const Field &attribute : fields(field.bytes)) {
            to_bfloat16 |= attribute.number == 3 && attribute.value == BFLOAT16;
          }
          break;
      }
    }
  }
};

/* The same node over other values. */
inline std::string renamed(std::string_view node, const std::vector<std::string> &inputs,
                           const std::string &output) {
  std::string result;
  for (const std::string &input : inputs) {
    result += bytes(1, input);
  }
  result += bytes(2, output);
  for (const Field &field : fields(node)) {
    if (field.number > 2) {
      result += field.whole;
    }
  }
  return bytes(1, result);
}

inline std::string of_graph(std::string_view graph, int *products) {
  std::set<std::string> rounded;
  for (const Field &field : fields(graph)) {
    if (field.number == 1) {
      Node node(field.bytes);
      if (node.type == "Cast" && node.to_bfloat16) {
        rounded.insert(node.outputs.front());
      }
    } else if (field.number == 5) {
      std::string name;
      bool bfloat16 = false;
      for (const Field &part : fields(field.bytes)) {
        bfloat16 |= part.number == 2 && part.value == BFLOAT16;
        name = part.number == 8 ? part.bytes : name;
      }
      if (bfloat16) {
        rounded.insert(name);
      }
    }
  }
  std::string result;
  for (const Field &field : fields(graph)) {
    Node node(field.number == 1 ? field.bytes : std::string_view());
    if ((node.type != "MatMul" && node.type != "FusedMatMul") || rounded.count(node.inputs[1]) == 0) {
      result += field.whole;
      continue;
    }
    if (rounded.count(node.inputs[0]) == 0) {
      throw std::runtime_error(node.inputs[0] + " is multiplied by bfloat16 and is none itself");
    }
    std::string output = node.outputs.front();
    std::vector<std::string> wide = {output + "/a", output + "/b"};
    result += cast(node.inputs[0], wide[0], FLOAT) + cast(node.inputs[1], wide[1], FLOAT);
    result += renamed(field.bytes, wide, output + "/sums") + cast(output + "/sums", output, BFLOAT16);
    ++*products;
  }
  return result;
}

/* The model as a processor computes it, and how many products it has of bfloat16. */
inline std::string in_float32(std::string_view model, int *products) {
  std::string result;
  for (const Field &field : fields(model)) {
    result += field.number == 7 ? bytes(7, of_graph(field.bytes, products)) : std::string(field.whole);
  }
  return result;
}

}  // namespace bfloat16_products

#endif
