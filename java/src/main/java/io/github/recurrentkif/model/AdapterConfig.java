package io.github.recurrentkif.model;

/** What is trained beside a frozen backbone, and where it takes part in what that computes. */
public sealed interface AdapterConfig
    permits LoraConfig, MixtureConfig, PromptPoolConfig, TaskAttentionConfig {}
